/*
 * db/generation - the log's generation as an SQL expression (text): system identifier, timeline, counter of restores.
 * A standby has no current WAL position; its timeline is the newest it has replayed.
 */
#pragma once

#define GENERATION_SQL                                                                                             \
	"((SELECT system_identifier::text FROM pg_control_system()) || '-' || CASE WHEN pg_is_in_recovery() THEN " \
	"(SELECT lpad(upper(to_hex(greatest(r.min_recovery_end_timeline, c.timeline_id))), 8, '0') "               \
	"FROM pg_control_recovery() r, pg_control_checkpoint() c) "                                                \
	"ELSE substring(pg_walfile_name(pg_current_wal_lsn()) FROM 1 FOR 8) END || '-' || "                        \
	"(SELECT generation_counter FROM log.meta))"
