-- Where each log was read up to, by whom, and what every transaction stored.
-- Needs PostgreSQL 14 (int8multirange).

CREATE TABLE kafka_logs (
    log_id        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id    text        NOT NULL,
    topic_id      uuid        NOT NULL,
    topic         text        NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (cluster_id, topic_id)
);
COMMENT ON TABLE kafka_logs IS 'One row per incarnation of a Kafka topic: a topic that is deleted and created again under its old name is another log.';
COMMENT ON COLUMN kafka_logs.log_id IS 'Short key for (cluster_id, topic_id), carried by every stored row.';
COMMENT ON COLUMN kafka_logs.cluster_id IS 'Kafka''s cluster.id.';
COMMENT ON COLUMN kafka_logs.topic_id IS 'Kafka''s topic id (KIP-516); changes when the topic is created again.';
COMMENT ON COLUMN kafka_logs.topic IS 'Name of the topic when first seen.';
COMMENT ON COLUMN kafka_logs.first_seen_at IS 'When the first claim on this log was made.';

CREATE TABLE stored_offsets (
    target             text        NOT NULL,
    log_id             integer     NOT NULL REFERENCES kafka_logs,
    partition_number   integer     NOT NULL CHECK (partition_number >= 0),
    group_id           text        NOT NULL,
    start_offset       bigint      NOT NULL CHECK (start_offset >= 0),
    next_offset        bigint      NOT NULL CHECK (next_offset >= 0),
    leader_epoch       integer     NOT NULL DEFAULT -1,
    claim              uuid        NOT NULL,
    owner              text        NOT NULL,
    boot_id            uuid        NOT NULL,
    writer_pid         integer     NOT NULL,
    writer_started_at  timestamptz NOT NULL,
    claimed_at         timestamptz NOT NULL,
    claimed_offset     bigint      NOT NULL,
    claims_at_offset   integer     NOT NULL DEFAULT 1,
    quarantine_reason  text,
    quarantined_at     timestamptz,
    updated_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target, log_id, partition_number)
) WITH (fillfactor = 50);
COMMENT ON TABLE stored_offsets IS 'The stored offset of each partition, moved only in the transaction that stores the rows before it. Belongs to the target table, not to the group.';
COMMENT ON COLUMN stored_offsets.target IS 'The table that the records end in, such as sensor_readings.';
COMMENT ON COLUMN stored_offsets.log_id IS 'The log that is read.';
COMMENT ON COLUMN stored_offsets.partition_number IS 'Kafka partition.';
COMMENT ON COLUMN stored_offsets.group_id IS 'The consumer group that may write; another one is refused until it adopts the target.';
COMMENT ON COLUMN stored_offsets.start_offset IS 'Where reading began: records before it were never meant to be stored.';
COMMENT ON COLUMN stored_offsets.next_offset IS 'Every record before this offset is stored, a dead letter, or skipped with a reason.';
COMMENT ON COLUMN stored_offsets.leader_epoch IS 'Leader epoch of the last stored record (KIP-320); -1 before the first. Finds a truncated log that grew again.';
COMMENT ON COLUMN stored_offsets.claim IS 'Token of the owner''s incarnation; a batch with another claim is refused.';
COMMENT ON COLUMN stored_offsets.owner IS 'consumer_id of the claim.';
COMMENT ON COLUMN stored_offsets.boot_id IS 'The owner''s process start.';
COMMENT ON COLUMN stored_offsets.writer_pid IS 'Backend that the owner writes batches through; a later claim that waits for its lock terminates exactly this backend.';
COMMENT ON COLUMN stored_offsets.writer_started_at IS 'backend_start of writer_pid, because pids repeat.';
COMMENT ON COLUMN stored_offsets.claimed_at IS 'When the claim was made.';
COMMENT ON COLUMN stored_offsets.claimed_offset IS 'next_offset when the claim was made.';
COMMENT ON COLUMN stored_offsets.claims_at_offset IS 'Claims in a row that found the same next_offset with records waiting behind it.';
COMMENT ON COLUMN stored_offsets.quarantine_reason IS 'Why the partition is not read; NULL when it is. Ends only by a command.';
COMMENT ON COLUMN stored_offsets.quarantined_at IS 'When the quarantine began.';
COMMENT ON COLUMN stored_offsets.updated_at IS 'Last change of the row.';

CREATE TABLE batch_ledger (
    stored_at        timestamptz    NOT NULL DEFAULT now(),
    target           text           NOT NULL,
    log_id           integer        NOT NULL,
    partition_number integer        NOT NULL,
    kind             text           NOT NULL DEFAULT 'batch' CHECK (kind IN ('batch', 'skipped', 'released', 'set', 'adopted')),
    claim            uuid           NOT NULL,
    boot_id          uuid           NOT NULL,
    consumer_id      text           NOT NULL,
    first_offset     bigint         NOT NULL,
    next_offset      bigint         NOT NULL,
    stored_rows      bigint         NOT NULL,
    dead_letters     bigint         NOT NULL,
    gaps             int8multirange NOT NULL DEFAULT '{}',
    first_append_at  timestamptz,
    last_append_at   timestamptz,
    reason           text
) PARTITION BY RANGE (stored_at);
CREATE INDEX batch_ledger_by_offset ON batch_ledger (target, log_id, partition_number, first_offset);
COMMENT ON TABLE batch_ledger IS 'One entry per partition of every transaction that moved a stored offset; the chain first_offset -> next_offset has no hole.';
COMMENT ON COLUMN batch_ledger.stored_at IS 'Start of the storing transaction by the server''s clock, equal to processing_timestamp of its rows. For the commit time see batch_ledger_commits.';
COMMENT ON COLUMN batch_ledger.target IS 'As in stored_offsets.';
COMMENT ON COLUMN batch_ledger.log_id IS 'As in stored_offsets.';
COMMENT ON COLUMN batch_ledger.partition_number IS 'As in stored_offsets.';
COMMENT ON COLUMN batch_ledger.kind IS 'batch: records; skipped: passed over by command; released: quarantine ended in place; set: stored offset set by command; adopted: another group took the target over.';
COMMENT ON COLUMN batch_ledger.claim IS 'Claim that wrote the entry; a fresh one for commands.';
COMMENT ON COLUMN batch_ledger.boot_id IS 'Process start that wrote the entry.';
COMMENT ON COLUMN batch_ledger.consumer_id IS 'Consumer, or operator:<name> for commands.';
COMMENT ON COLUMN batch_ledger.first_offset IS 'Stored offset before the transaction.';
COMMENT ON COLUMN batch_ledger.next_offset IS 'Stored offset after the transaction.';
COMMENT ON COLUMN batch_ledger.stored_rows IS 'Rows in the target.';
COMMENT ON COLUMN batch_ledger.dead_letters IS 'Rows in dead_letters.';
COMMENT ON COLUMN batch_ledger.gaps IS 'Offsets that the log itself does not have (compaction, aborted transactions, control records).';
COMMENT ON COLUMN batch_ledger.first_append_at IS 'Kafka''s append time of the first record.';
COMMENT ON COLUMN batch_ledger.last_append_at IS 'Kafka''s append time of the last record.';
COMMENT ON COLUMN batch_ledger.reason IS 'Why, for entries written by a command.';

CREATE TABLE dead_letters (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target           text        NOT NULL,
    log_id           integer     NOT NULL,
    partition_number integer     NOT NULL,
    kafka_offset     bigint      NOT NULL,
    claim            uuid        NOT NULL,
    consumer_id      text        NOT NULL,
    reason_code      text        NOT NULL,
    field            text,
    reason           text        NOT NULL,
    record_key       bytea,
    payload          bytea,
    appended_at      timestamptz,
    dead_at          timestamptz NOT NULL DEFAULT now(),
    status           text        NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'replayed')),
    replayed_at      timestamptz,
    replayed_by      text,
    UNIQUE (target, log_id, partition_number, kafka_offset)
);
COMMENT ON TABLE dead_letters IS 'Records that are no event, stored in the transaction of their batch with bytes, coordinates and reason.';
COMMENT ON COLUMN dead_letters.id IS 'Number to name the letter by.';
COMMENT ON COLUMN dead_letters.target IS 'Table that the record was meant for.';
COMMENT ON COLUMN dead_letters.log_id IS 'Log of the record.';
COMMENT ON COLUMN dead_letters.partition_number IS 'Partition of the record.';
COMMENT ON COLUMN dead_letters.kafka_offset IS 'Offset of the record.';
COMMENT ON COLUMN dead_letters.claim IS 'Claim of the batch.';
COMMENT ON COLUMN dead_letters.consumer_id IS 'Consumer that stored the letter.';
COMMENT ON COLUMN dead_letters.reason_code IS 'Class of the fault (schema::ReasonCode).';
COMMENT ON COLUMN dead_letters.field IS 'Field of the fault, where one can be named.';
COMMENT ON COLUMN dead_letters.reason IS 'One sentence, cleaned and cut.';
COMMENT ON COLUMN dead_letters.record_key IS 'Key bytes; NULL when the record has none.';
COMMENT ON COLUMN dead_letters.payload IS 'Value bytes as they were; NULL for a tombstone.';
COMMENT ON COLUMN dead_letters.appended_at IS 'Kafka''s append time.';
COMMENT ON COLUMN dead_letters.dead_at IS 'Start of the storing transaction.';
COMMENT ON COLUMN dead_letters.status IS 'open, or replayed into the target.';
COMMENT ON COLUMN dead_letters.replayed_at IS 'When it was replayed.';
COMMENT ON COLUMN dead_letters.replayed_by IS 'Who replayed it.';

CREATE TABLE retention_checkpoints (
    target           text        NOT NULL,
    log_id           integer     NOT NULL,
    partition_number integer     NOT NULL,
    horizon          timestamptz NOT NULL,
    next_offset      bigint      NOT NULL,
    stored_rows      bigint      NOT NULL,
    dead_letters     bigint      NOT NULL,
    gap_records      bigint      NOT NULL,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target, log_id, partition_number)
);
COMMENT ON TABLE retention_checkpoints IS 'What was dropped by retention: verify starts behind it and prints the horizon.';
COMMENT ON COLUMN retention_checkpoints.target IS 'As in stored_offsets.';
COMMENT ON COLUMN retention_checkpoints.log_id IS 'As in stored_offsets.';
COMMENT ON COLUMN retention_checkpoints.partition_number IS 'As in stored_offsets.';
COMMENT ON COLUMN retention_checkpoints.horizon IS 'Everything stored before this time was dropped.';
COMMENT ON COLUMN retention_checkpoints.next_offset IS 'Everything before this offset was dropped.';
COMMENT ON COLUMN retention_checkpoints.stored_rows IS 'Rows dropped, in all.';
COMMENT ON COLUMN retention_checkpoints.dead_letters IS 'Dead letters of the dropped ledger entries, in all.';
COMMENT ON COLUMN retention_checkpoints.gap_records IS 'Offsets of the dropped ledger entries that the log did not have, in all.';
COMMENT ON COLUMN retention_checkpoints.updated_at IS 'Last change of the row.';

CREATE TABLE schema_compatibility (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    oldest_compatible integer NOT NULL
);
INSERT INTO schema_compatibility (oldest_compatible) VALUES (1);
COMMENT ON TABLE schema_compatibility IS 'One row. A migration that older programs cannot work with raises oldest_compatible; an additive one leaves it.';
COMMENT ON COLUMN schema_compatibility.only_row IS 'Keeps it one row.';
COMMENT ON COLUMN schema_compatibility.oldest_compatible IS 'Programs built for an older schema version than this refuse to start.';

-- The fence: the first statement of every batch. It moves each stored offset from expected to
-- next for the claim that was given, and raises when one of them is not ours any more, so that
-- nothing sent behind it in the same transaction can commit.
CREATE FUNCTION advance_stored_offsets(
    p_target text, p_log_ids integer[], p_partitions integer[], p_claims uuid[],
    p_expected bigint[], p_next bigint[], p_leader_epochs integer[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    refused text;
BEGIN
    PERFORM 1
       FROM stored_offsets o
       JOIN unnest(p_log_ids, p_partitions) AS w(log_id, partition_number)
         ON o.target = p_target AND o.log_id = w.log_id AND o.partition_number = w.partition_number
      ORDER BY o.log_id, o.partition_number
        FOR UPDATE OF o;

    WITH wanted AS (
        SELECT * FROM unnest(p_log_ids, p_partitions, p_claims, p_expected, p_next, p_leader_epochs)
            AS w(log_id, partition_number, claim, expected, next_offset, leader_epoch)
    ), moved AS (
        UPDATE stored_offsets o
           SET next_offset = w.next_offset,
               leader_epoch = GREATEST(o.leader_epoch, w.leader_epoch),
               updated_at = now()
          FROM wanted w
         WHERE o.target = p_target AND o.log_id = w.log_id AND o.partition_number = w.partition_number
           AND o.claim = w.claim AND o.next_offset = w.expected AND w.next_offset > w.expected
           AND o.quarantine_reason IS NULL
        RETURNING o.log_id, o.partition_number
    )
    SELECT string_agg(format('partition=%s claim=%s expected=%s', w.partition_number, w.claim, w.expected), '; '
                      ORDER BY w.partition_number)
      INTO refused
      FROM wanted w
      LEFT JOIN moved m USING (log_id, partition_number)
     WHERE m.partition_number IS NULL;

    IF refused IS NOT NULL THEN
        RAISE EXCEPTION 'stale owner refused' USING ERRCODE = 'MR001', DETAIL = refused;
    END IF;
END;
$$;
COMMENT ON FUNCTION advance_stored_offsets(text, integer[], integer[], uuid[], bigint[], bigint[], integer[])
    IS 'The fence: moves stored offsets for the given claims or raises MR001 naming the refused ones.';
