-- Who is alive, and every change of ownership as its consumer saw it.

CREATE TABLE consumer_health (
    consumer_id                    text        PRIMARY KEY,
    status                         text        NOT NULL,
    last_heartbeat                 timestamptz NOT NULL,
    assigned_partitions            integer[]   NOT NULL DEFAULT '{}',
    messages_processed_last_minute bigint      NOT NULL DEFAULT 0,
    group_id                       text        NOT NULL,
    boot_id                        uuid        NOT NULL,
    started_at                     timestamptz NOT NULL,
    partition_states               jsonb       NOT NULL DEFAULT '[]',
    journal_waiting                bigint      NOT NULL DEFAULT 0,
    journal_dropped                bigint      NOT NULL DEFAULT 0
);
COMMENT ON TABLE consumer_health IS 'One heartbeat row per consumer, written every second.';
COMMENT ON COLUMN consumer_health.consumer_id IS 'Such as sensor-consumer-1.';
COMMENT ON COLUMN consumer_health.status IS 'starting, running, paused, stopping or stopped.';
COMMENT ON COLUMN consumer_health.last_heartbeat IS 'Server clock of the last heartbeat.';
COMMENT ON COLUMN consumer_health.assigned_partitions IS 'Partitions that Kafka counts as assigned to it.';
COMMENT ON COLUMN consumer_health.messages_processed_last_minute IS 'Records committed in the last 60 s.';
COMMENT ON COLUMN consumer_health.group_id IS 'Its consumer group.';
COMMENT ON COLUMN consumer_health.boot_id IS 'Its process start.';
COMMENT ON COLUMN consumer_health.started_at IS 'When that process started.';
COMMENT ON COLUMN consumer_health.partition_states IS 'Each assigned partition with its state, reason, position and log end.';
COMMENT ON COLUMN consumer_health.journal_waiting IS 'Journal events in its spool that are not in rebalancing_events yet.';
COMMENT ON COLUMN consumer_health.journal_dropped IS 'Journal events that a full spool dropped since the start.';

CREATE TABLE producer_health (
    producer_id               text        PRIMARY KEY,
    sensor_type               text        NOT NULL,
    status                    text        NOT NULL,
    last_heartbeat            timestamptz NOT NULL,
    messages_sent_last_minute bigint      NOT NULL DEFAULT 0,
    connection_status         text        NOT NULL,
    run_id                    uuid        NOT NULL,
    started_at                timestamptz NOT NULL,
    messages_sent             bigint      NOT NULL DEFAULT 0,
    messages_acknowledged     bigint      NOT NULL DEFAULT 0,
    messages_waiting          bigint      NOT NULL DEFAULT 0,
    target_rate               double precision
);
COMMENT ON TABLE producer_health IS 'One heartbeat row per producer, written every second.';
COMMENT ON COLUMN producer_health.producer_id IS 'Such as temperature-sensor.';
COMMENT ON COLUMN producer_health.sensor_type IS 'What it produces.';
COMMENT ON COLUMN producer_health.status IS 'running, waiting_for_kafka, stopping or stopped.';
COMMENT ON COLUMN producer_health.last_heartbeat IS 'Server clock of the last heartbeat.';
COMMENT ON COLUMN producer_health.messages_sent_last_minute IS 'Messages acknowledged by all in-sync replicas in the last 60 s.';
COMMENT ON COLUMN producer_health.connection_status IS 'connected, degraded or disconnected, as its Kafka client sees the brokers.';
COMMENT ON COLUMN producer_health.run_id IS 'Its process start, as in its events.';
COMMENT ON COLUMN producer_health.started_at IS 'When that process started.';
COMMENT ON COLUMN producer_health.messages_sent IS 'Messages handed to the client since the start.';
COMMENT ON COLUMN producer_health.messages_acknowledged IS 'Messages acknowledged since the start.';
COMMENT ON COLUMN producer_health.messages_waiting IS 'Messages in its queue.';
COMMENT ON COLUMN producer_health.target_rate IS 'Events per second it tries to send; NULL for as fast as possible.';

CREATE TABLE rebalancing_events (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer_id      text        NOT NULL,
    event_type       text        NOT NULL,
    partition_number integer,
    timestamp        timestamptz NOT NULL,
    group_id         text        NOT NULL,
    topic            text        NOT NULL,
    protocol         text        NOT NULL,
    generation       integer     NOT NULL,
    member_id        text        NOT NULL,
    boot_id          uuid        NOT NULL,
    boot_sequence    bigint      NOT NULL,
    monotonic_us     bigint      NOT NULL,
    received_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    claim            uuid,
    kafka_offset     bigint,
    detail           text,
    UNIQUE (boot_id, boot_sequence)
);
CREATE INDEX rebalancing_events_by_time ON rebalancing_events (timestamp);
COMMENT ON TABLE rebalancing_events IS 'The journal: what each consumer saw of its assignment, spooled locally first.';
COMMENT ON COLUMN rebalancing_events.id IS 'Order of arrival here, not of happening.';
COMMENT ON COLUMN rebalancing_events.consumer_id IS 'Who saw it.';
COMMENT ON COLUMN rebalancing_events.event_type IS 'started, assigned, revoked, lost, claimed, refused, reopened, offset_went_back, quarantined, paused, resumed, dropped, leaving, stopped.';
COMMENT ON COLUMN rebalancing_events.partition_number IS 'The partition; NULL for an empty assignment and for events of the whole process.';
COMMENT ON COLUMN rebalancing_events.timestamp IS 'The consumer''s wall clock.';
COMMENT ON COLUMN rebalancing_events.group_id IS 'Its group.';
COMMENT ON COLUMN rebalancing_events.topic IS 'The topic.';
COMMENT ON COLUMN rebalancing_events.protocol IS 'consumer (KIP-848), cooperative-sticky or range.';
COMMENT ON COLUMN rebalancing_events.generation IS 'Generation (classic) or member epoch (KIP-848) as read in the callback; evidence only. -1 when unknown.';
COMMENT ON COLUMN rebalancing_events.member_id IS 'Member id as read in the callback; empty when it has none.';
COMMENT ON COLUMN rebalancing_events.boot_id IS 'Process start.';
COMMENT ON COLUMN rebalancing_events.boot_sequence IS 'Order of happening within the process; a hole is an event that was lost.';
COMMENT ON COLUMN rebalancing_events.monotonic_us IS 'Microseconds since the process start by its monotonic clock.';
COMMENT ON COLUMN rebalancing_events.received_at IS 'Server clock at arrival.';
COMMENT ON COLUMN rebalancing_events.claim IS 'Claim that the event speaks of.';
COMMENT ON COLUMN rebalancing_events.kafka_offset IS 'Offset that the event speaks of.';
COMMENT ON COLUMN rebalancing_events.detail IS 'Reason or evidence in one sentence.';
