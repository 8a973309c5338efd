<?php
// SPDX-License-Identifier: BSD-2-Clause
//
// AES-256-GCM: nonce, ciphertext, tag.
$nonce = random_bytes(12);
$cipher = openssl_encrypt(file_get_contents('php://input'), 'aes-256-gcm', hex2bin($_SERVER['CIPHER_KEY']),
    OPENSSL_RAW_DATA, $nonce, $tag);
header('Content-Type: application/octet-stream');
echo $nonce, $cipher, $tag;
