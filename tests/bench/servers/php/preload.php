<?php
// SPDX-License-Identifier: BSD-2-Clause
//
// Run once, when PHP-FPM starts, as the manual's example of FFI with preloading: a request neither parses
// declarations nor may use others.
FFI::load(getenv('WORK_HEADER'));
opcache_compile_file(__DIR__ . '/work.php');
