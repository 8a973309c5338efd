-- SPDX-License-Identifier: BSD-2-Clause
--
-- 0005: jobs whose end alone is waited for

ALTER TABLE gangsaw.job ADD COLUMN is_awaited boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN gangsaw.job.is_awaited IS
    'Its client waited for it when it was stored: its end is notified, and nothing else of it. So the '
    'hub need not mark it as watched.';
