-- Alarms: the state of each sensor travels with its partition, what happened is told once, and people's
-- decisions stand beside what the readings say. Additive: older programs go on, and raise no alarms.

CREATE TABLE alarm_states (
    target           text        NOT NULL,
    topic            text        NOT NULL,
    partition_number integer     NOT NULL,
    sensor_id        text        NOT NULL,
    state            json        NOT NULL,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target, topic, partition_number, sensor_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE alarm_states IS 'What is remembered of each sensor, written in the transaction of its readings and read under the lock of a claim.';
COMMENT ON COLUMN alarm_states.target IS 'As in stored_offsets.';
COMMENT ON COLUMN alarm_states.topic IS 'Topic name: a topic that is created again goes on with the states of the old one.';
COMMENT ON COLUMN alarm_states.partition_number IS 'Partition that the sensor''s key goes to. A topic that grows moves keys: such a sensor is learned anew.';
COMMENT ON COLUMN alarm_states.sensor_id IS 'The sensor.';
COMMENT ON COLUMN alarm_states.state IS 'The last place that was taken in, the two conditions, and the quantiles that say what is usual.';
COMMENT ON COLUMN alarm_states.updated_at IS 'Server clock of the transaction that wrote it.';

CREATE TABLE alarm_limits (
    sensor_id   text             PRIMARY KEY,
    high_high   double precision,
    high        double precision,
    low         double precision,
    low_low     double precision,
    deadband    double precision NOT NULL,
    on_delay_s  double precision NOT NULL,
    off_delay_s double precision NOT NULL,
    deviation   boolean          NOT NULL,
    changed_by  text             NOT NULL,
    reason      text             NOT NULL,
    changed_at  timestamptz      NOT NULL DEFAULT now()
);
COMMENT ON TABLE alarm_limits IS 'Limits of single sensors in place of the defaults of their type (OPC UA Part 9, ExclusiveLimitAlarmType).';
COMMENT ON COLUMN alarm_limits.sensor_id IS 'The sensor.';
COMMENT ON COLUMN alarm_limits.high_high IS 'At or above is high_high; NULL is no such limit, as with the other three.';
COMMENT ON COLUMN alarm_limits.high IS 'At or above is high.';
COMMENT ON COLUMN alarm_limits.low IS 'At or below is low.';
COMMENT ON COLUMN alarm_limits.low_low IS 'At or below is low_low.';
COMMENT ON COLUMN alarm_limits.deadband IS 'How far inside its limit a value counts as back, in the sensor''s unit.';
COMMENT ON COLUMN alarm_limits.on_delay_s IS 'Seconds of event time that a limit must be exceeded.';
COMMENT ON COLUMN alarm_limits.off_delay_s IS 'Seconds of event time that the value must be back.';
COMMENT ON COLUMN alarm_limits.deviation IS 'Whether what is unusual for the sensor is an alarm, too.';
COMMENT ON COLUMN alarm_limits.changed_by IS 'Who set them.';
COMMENT ON COLUMN alarm_limits.reason IS 'Why.';
COMMENT ON COLUMN alarm_limits.changed_at IS 'When; consumers look every few seconds.';

CREATE TABLE alarms (
    source_type             text        NOT NULL CHECK (source_type IN ('sensor', 'system')),
    source                  text        NOT NULL,
    condition               text        NOT NULL,
    active                  boolean     NOT NULL,
    level                   text,
    severity                smallint    NOT NULL CHECK (severity BETWEEN 1 AND 1000),
    chattering              boolean     NOT NULL DEFAULT false,
    activation              text        NOT NULL,
    activations             bigint      NOT NULL DEFAULT 1,
    raised_at               timestamptz NOT NULL,
    changed_at              timestamptz NOT NULL,
    value                   double precision,
    threshold               double precision,
    detail                  text,
    written_by              text        NOT NULL,
    written_at              timestamptz NOT NULL DEFAULT now(),
    acknowledged_activation text,
    acknowledged_by         text,
    acknowledged_at         timestamptz,
    acknowledge_comment     text,
    shelved_until           timestamptz,
    shelved_by              text,
    shelve_reason           text,
    PRIMARY KEY (source_type, source, condition)
) WITH (fillfactor = 70);
CREATE INDEX alarms_active ON alarms (severity DESC, raised_at DESC) WHERE active;
CREATE INDEX alarms_returned ON alarms (written_at DESC)
    WHERE NOT active AND activation IS DISTINCT FROM acknowledged_activation;
CREATE INDEX alarms_shelved ON alarms (shelved_until) WHERE shelved_until IS NOT NULL;
COMMENT ON TABLE alarms IS 'Each condition that was ever active, as it is now. What readings and observers say and what people decided are different columns, so that neither overwrites the other.';
COMMENT ON COLUMN alarms.source_type IS 'sensor: raised by a consumer in the transaction of the reading. system: raised by the recorder from what it watches.';
COMMENT ON COLUMN alarms.source IS 'The sensor''s id, or what of the system: a producer, a consumer, a partition.';
COMMENT ON COLUMN alarms.condition IS 'limit or deviation of a sensor; of the system such as producer_silent.';
COMMENT ON COLUMN alarms.active IS 'Whether the condition holds (OPC UA Part 9: ActiveState).';
COMMENT ON COLUMN alarms.level IS 'low_low, low, high, high_high; above or below for a deviation; NULL when inactive or of the system.';
COMMENT ON COLUMN alarms.severity IS '1 to 1000 (OPC UA Part 5): from 700 on it must be dealt with now.';
COMMENT ON COLUMN alarms.chattering IS 'Three activations or more within a minute (EEMUA 191): they are counted and no longer told one by one.';
COMMENT ON COLUMN alarms.activation IS 'Names what is to be acknowledged: the place of the reading that raised it, or made it worse.';
COMMENT ON COLUMN alarms.activations IS 'How often it was raised.';
COMMENT ON COLUMN alarms.raised_at IS 'When it was raised last; event time of a sensor''s reading.';
COMMENT ON COLUMN alarms.changed_at IS 'When it changed last; event time as above.';
COMMENT ON COLUMN alarms.value IS 'The value that changed it.';
COMMENT ON COLUMN alarms.threshold IS 'The limit, or the edge of what is usual, that the value passed.';
COMMENT ON COLUMN alarms.detail IS 'One sentence, where there is more to say.';
COMMENT ON COLUMN alarms.written_by IS 'Consumer or monitor.';
COMMENT ON COLUMN alarms.written_at IS 'Server clock of the last change.';
COMMENT ON COLUMN alarms.acknowledged_activation IS 'The activation that somebody acknowledged last.';
COMMENT ON COLUMN alarms.acknowledged_by IS 'Who.';
COMMENT ON COLUMN alarms.acknowledged_at IS 'When.';
COMMENT ON COLUMN alarms.acknowledge_comment IS 'What they said.';
COMMENT ON COLUMN alarms.shelved_until IS 'Not shown as an alarm until then; in the past or NULL: not shelved.';
COMMENT ON COLUMN alarms.shelved_by IS 'Who shelved it.';
COMMENT ON COLUMN alarms.shelve_reason IS 'Why.';

CREATE TABLE alarm_events (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_type      text        NOT NULL,
    source           text        NOT NULL,
    condition        text        NOT NULL,
    event            text        NOT NULL,
    occurred_at      timestamptz NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT now(),
    level            text,
    severity         smallint    NOT NULL,
    chattering       boolean     NOT NULL DEFAULT false,
    told             boolean     NOT NULL DEFAULT true,
    value            double precision,
    threshold        double precision,
    detail           text,
    by_whom          text        NOT NULL,
    log_id           integer,
    partition_number integer,
    kafka_offset     bigint
);
CREATE UNIQUE INDEX alarm_events_once ON alarm_events (log_id, partition_number, kafka_offset, condition) WHERE log_id IS NOT NULL;
CREATE INDEX alarm_events_by_source ON alarm_events (source_type, source, condition, id);
CREATE INDEX alarm_events_by_time ON alarm_events (recorded_at);
COMMENT ON TABLE alarm_events IS 'What happened to alarms, oldest first. Kept 31 days.';
COMMENT ON COLUMN alarm_events.id IS 'Order of insertion.';
COMMENT ON COLUMN alarm_events.source_type IS 'As in alarms.';
COMMENT ON COLUMN alarm_events.source IS 'As in alarms.';
COMMENT ON COLUMN alarm_events.condition IS 'As in alarms.';
COMMENT ON COLUMN alarm_events.event IS 'raised, worsened, eased, returned, acknowledged, shelved, unshelved.';
COMMENT ON COLUMN alarm_events.occurred_at IS 'When; event time of a sensor''s reading.';
COMMENT ON COLUMN alarm_events.recorded_at IS 'Server clock of the transaction.';
COMMENT ON COLUMN alarm_events.level IS 'As in alarms.';
COMMENT ON COLUMN alarm_events.severity IS 'As in alarms.';
COMMENT ON COLUMN alarm_events.chattering IS 'Whether the alarm was chattering.';
COMMENT ON COLUMN alarm_events.told IS 'Whether it is an alarm of its own: of a chattering one only the first is.';
COMMENT ON COLUMN alarm_events.value IS 'As in alarms.';
COMMENT ON COLUMN alarm_events.threshold IS 'As in alarms.';
COMMENT ON COLUMN alarm_events.detail IS 'As in alarms; the comment or the reason of a person.';
COMMENT ON COLUMN alarm_events.by_whom IS 'Consumer, monitor or person.';
COMMENT ON COLUMN alarm_events.log_id IS 'Log of the reading; NULL of the system and of people.';
COMMENT ON COLUMN alarm_events.partition_number IS 'Its partition.';
COMMENT ON COLUMN alarm_events.kafka_offset IS 'Its offset: one reading changes a condition once, whatever is replayed.';

CREATE FUNCTION alarm_to_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO event_outbox (kind, occurred_at, body) VALUES ('alarm', NEW.occurred_at, to_jsonb(NEW));
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION alarm_to_outbox() IS 'Puts alarms of the system and what people decide on the stream of events. Not sensors'' own: a flood of them would push the rebalances out of it.';
CREATE TRIGGER to_outbox AFTER INSERT ON alarm_events FOR EACH ROW WHEN (NEW.log_id IS NULL) EXECUTE FUNCTION alarm_to_outbox();

-- The states of OPC UA Part 9 in one word. Shelved is a word of its own: it hides the rest on purpose.
CREATE FUNCTION alarm_state(alarm alarms) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN alarm.shelved_until > now() THEN 'shelved'
        WHEN alarm.active AND alarm.activation IS DISTINCT FROM alarm.acknowledged_activation THEN 'active_unacknowledged'
        WHEN alarm.active THEN 'active_acknowledged'
        WHEN alarm.activation IS DISTINCT FROM alarm.acknowledged_activation THEN 'returned_unacknowledged'
        ELSE 'normal' END
$$;
COMMENT ON FUNCTION alarm_state(alarms) IS 'normal, active_unacknowledged, active_acknowledged, returned_unacknowledged or shelved.';

-- The recorder may not write alarms, only say what of the system is wrong just now: with the owner's rights,
-- so that a monitor's role can never touch what a consumer raised.
CREATE FUNCTION tell_system_alarms(wrong jsonb, observer text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    changed integer;
    returned integer;
BEGIN
    WITH told AS (
        SELECT * FROM jsonb_to_recordset(wrong) AS w(source text, condition text, severity smallint, detail text)),
    raised AS (
        INSERT INTO alarms AS a (source_type, source, condition, active, severity, activation, raised_at, changed_at,
                                 detail, written_by)
        SELECT 'system', t.source, t.condition, true, t.severity, extract(epoch FROM clock_timestamp())::text, now(), now(), t.detail, observer
          FROM told t
          LEFT JOIN alarms known ON (known.source_type, known.source, known.condition) = ('system', t.source, t.condition)
         WHERE known.active IS NOT TRUE
         ORDER BY t.source, t.condition
        ON CONFLICT (source_type, source, condition) DO UPDATE SET
            active = true, severity = EXCLUDED.severity, activation = EXCLUDED.activation,
            activations = a.activations + 1, raised_at = now(), changed_at = now(), detail = EXCLUDED.detail,
            written_by = EXCLUDED.written_by, written_at = now()
        RETURNING source, condition, severity, detail)
    INSERT INTO alarm_events (source_type, source, condition, event, occurred_at, severity, detail, by_whom)
    SELECT 'system', source, condition, 'raised', now(), severity, detail, observer FROM raised;
    GET DIAGNOSTICS changed = ROW_COUNT;

    WITH told AS (SELECT * FROM jsonb_to_recordset(wrong) AS w(source text, condition text)),
    ended AS (
        UPDATE alarms a SET active = false, changed_at = now(), written_by = observer, written_at = now()
         WHERE a.source_type = 'system' AND a.active
           AND NOT EXISTS (SELECT FROM told t WHERE (t.source, t.condition) = (a.source, a.condition))
        RETURNING source, condition, severity)
    INSERT INTO alarm_events (source_type, source, condition, event, occurred_at, severity, by_whom)
    SELECT 'system', source, condition, 'returned', now(), severity, observer FROM ended;
    GET DIAGNOSTICS returned = ROW_COUNT;
    RETURN changed + returned;
END;
$$;
COMMENT ON FUNCTION tell_system_alarms(jsonb, text) IS 'Takes everything that is wrong with the system just now: raises what is new, ends what is not named any more. How many changes.';
REVOKE ALL ON FUNCTION tell_system_alarms(jsonb, text) FROM PUBLIC;
