<?php
// SPDX-License-Identifier: BSD-2-Clause
//
// The sum by C, stored before the answer; the connection outlives the request.
$n = (int) json_decode(file_get_contents('php://input'), true)['n'];
$sum = Work::sumSquares($n);
$database = new PDO($_SERVER['DATABASE_DSN'], null, null, [PDO::ATTR_PERSISTENT => true]);
$insert = $database->prepare('INSERT INTO result (sum) VALUES (?) RETURNING id');
$insert->execute([$sum]);
header('Content-Type: application/json');
echo json_encode(['id' => $insert->fetchColumn(), 'sum' => $sum]);
