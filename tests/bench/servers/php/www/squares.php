<?php
// SPDX-License-Identifier: BSD-2-Clause
//
// The sum of squares: a loop, or the C function by FFI.

function sum_squares(int $n): int|float
{
    $sum = 0;
    for ($i = 0; $i < $n; $i++) {
        $sum += $i * $i;
    }
    return $sum;
}

$n = (int) json_decode(file_get_contents('php://input'), true)['n'];
$sum = $_GET['way'] === 'c' ? Work::sumSquares($n) : sum_squares($n);
header('Content-Type: application/json');
echo json_encode(['sum' => $sum]);
