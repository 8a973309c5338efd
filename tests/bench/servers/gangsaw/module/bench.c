/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module `bench`: what Gangsaw's own modules do not have and a measurement needs, written and
 * built outside of the tree as docs/modules.md has it.
 */
#include "tasks/task.h"

#include <cjson/cJSON.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define KEY_SIZE 32
#define NONCE_SIZE 12
#define TAG_SIZE 16
#define BYTES_A_STEP ((size_t)128 << 10) /* how soon it stops: below a millisecond */

/* What a run costs that computes nothing. */
static int empty(struct run *run, struct error *reterr)
{
    (void)reterr;
    run_result(run, cJSON_CreateObject());
    return 0;
}

/* The descriptor's pattern made sure that these are hexadecimal digits. */
static void key_of(const struct run *run, unsigned char key[static KEY_SIZE])
{
    const char *hex = cJSON_GetObjectItemCaseSensitive(run_params(run), "key")->valuestring;

    for (int i = 0; i < 2 * KEY_SIZE; i++) {
        unsigned char digit = (unsigned char)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
        key[i / 2] = (unsigned char)(i % 2 == 0 ? digit << 4 : key[i / 2] | digit);
    }
}

static int openssl_failed(struct error *reterr)
{
    return error_internal(reterr, "OpenSSL does not encrypt");
}

static int encrypt_steps(struct run *run, EVP_CIPHER_CTX *context, struct error *reterr)
{
    const struct run_input *data = run_input(run, "data", 0);
    struct run_output *out = run_output(run, "data", "application/octet-stream");
    unsigned char nonce[NONCE_SIZE], tag[TAG_SIZE], key[KEY_SIZE], step[BYTES_A_STEP];
    int size;

    key_of(run, key);
    if (RAND_bytes(nonce, NONCE_SIZE) != 1 ||
        EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) != 1)
        return openssl_failed(reterr);
    if (run_write(out, nonce, NONCE_SIZE, reterr) != 0)
        return -1;
    for (size_t i = 0; i < data->size; i += BYTES_A_STEP) {
        const size_t n = data->size - i < BYTES_A_STEP ? data->size - i : BYTES_A_STEP;
        if (!run_progress(run, (double)i / (double)data->size, NULL))
            return error_set(reterr, ERR_STOPPED, "Stopped after %zu bytes.", i);
        if (EVP_EncryptUpdate(context, step, &size, data->bytes + i, (int)n) != 1)
            return openssl_failed(reterr);
        if (run_write(out, step, (size_t)size, reterr) != 0)
            return -1;
    }
    if (EVP_EncryptFinal_ex(context, step, &size) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, tag) != 1)
        return openssl_failed(reterr);
    return run_write(out, tag, TAG_SIZE, reterr);
}

static int encrypt(struct run *run, struct error *reterr)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int done = context != NULL ? encrypt_steps(run, context, reterr) : openssl_failed(reterr);

    EVP_CIPHER_CTX_free(context);
    return done;
}

static const struct task tasks[] = {
    {"bench.empty", empty}, {"bench.encrypt", encrypt}, {NULL, NULL}};

const struct gangsaw_module gangsaw_module = {.abi = GANGSAW_MODULE_ABI, .tasks = tasks};
