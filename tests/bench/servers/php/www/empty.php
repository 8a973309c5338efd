<?php
// SPDX-License-Identifier: BSD-2-Clause
header('Content-Type: application/json');
echo '{}';
