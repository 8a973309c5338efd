# SPDX-License-Identifier: BSD-2-Clause
#
# The harnesses, each a program of its own, built by tests/fuzz/run below build/fuzz:
#
#     make -f tests/fuzz/fuzz.mk NAME …
#
# The server's sources are compiled once more, by clang, with the sanitizers and with counters at
# every branch. base/arena.c is replaced: exact_arena.c gives each allocation a block of its own.
# To add a harness: NAME.c here, and corpus/NAME/ with a few inputs.

CC = clang
OUT = build/fuzz
PACKAGES = libcjson libcrypto fcgi glib-2.0 inih libpq libseccomp

SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS = -std=gnu17 -g1 -O1 -fno-omit-frame-pointer -Wall -Wextra -Wshadow -Wconversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla -Wundef -Werror \
	$(if $(filter x86_64,$(shell uname -m)),-mcx16)
CPPFLAGS = -D_GNU_SOURCE -Ifcgi-app -Itests/unit -include base/banned.h \
	-DGANGSAW_VERSION='"fuzz"' -DGANGSAW_SYSCONFDIR='"/etc/gangsaw"' \
	-DGANGSAW_LIBDIR='"/usr/lib/gangsaw"' -DGANGSAW_DATADIR='"/usr/share/gangsaw"' \
	-DGANGSAW_LIBEXECDIR='"/usr/libexec/gangsaw"' -DGANGSAW_RUNDIR='"/run/gangsaw"' \
	-DFUZZ_TASKS='"$(CURDIR)/fcgi-app/tasks"' $(shell pkg-config --cflags $(PACKAGES))
LIBS = $(shell pkg-config --libs $(PACKAGES)) -lm

HARNESSES = $(filter-out exact_arena,$(basename $(notdir $(wildcard tests/fuzz/*.c))))
SOURCES = $(wildcard $(patsubst %,fcgi-app/%/*.c,base http auth exec db api hub))
OBJECTS = $(patsubst fcgi-app/%.c,$(OUT)/obj/%.o,\
	$(filter-out fcgi-app/base/arena.c fcgi-app/exec/executor_main.c,$(SOURCES))) \
	$(OUT)/obj/exact_arena.o

.PHONY: all list $(HARNESSES)
all: $(HARNESSES)
$(HARNESSES): %: $(OUT)/%

list:
	@printf '%s\n' $(HARNESSES)

$(OUT)/obj/%.o: fcgi-app/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SANITIZE) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(OUT)/obj/%.o: tests/fuzz/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SANITIZE) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(OUT)/libserver.a: $(OBJECTS)
	rm -f $@
	ar cr $@ $(OBJECTS)

# What a module reads, and a harness with it.
$(OUT)/selection: $(OUT)/obj/tasks/pdf/selection.o
$(OUT)/metadata: $(patsubst %,$(OUT)/obj/tasks/image/%.o,exif icc iptc metadata xmp)
$(OUT)/metadata: LIBS += $(shell pkg-config --libs libexif libiptcdata exempi-2.0)
$(OUT)/obj/tasks/image/%.o: CPPFLAGS += $(shell pkg-config --cflags libexif libiptcdata exempi-2.0)

$(OUT)/%: $(OUT)/obj/%.o $(OUT)/libserver.a
	$(CC) $(SANITIZE) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

.SECONDARY:
-include $(wildcard $(OUT)/obj/*.d $(OUT)/obj/*/*.d)
