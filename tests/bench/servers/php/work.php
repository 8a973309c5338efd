<?php
// SPDX-License-Identifier: BSD-2-Clause
//
// The C function.
final class Work
{
    private static ?FFI $library = null;

    public static function sumSquares(int $n): float
    {
        self::$library ??= FFI::scope('work');
        return self::$library->sum_squares($n);
    }
}
