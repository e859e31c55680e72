//! The statements of one batch, in their order.

use std::future::Future;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use tokio_postgres::types::ToSql;

use super::{Author, BatchWriter, Done, Letter, Part};
use crate::copy;
use crate::count::{signed, unsigned};

/// What was being done, and the driver's error.
pub(super) type Failure = (&'static str, tokio_postgres::Error);

pub(super) const FENCE: &str = "SELECT advance_stored_offsets($1, $2, $3, $4, $5, $6, $7)";

pub(super) const LETTER: &str = "INSERT INTO dead_letters (target, log_id, partition_number, kafka_offset, claim, \
     consumer_id, reason_code, field, reason, record_key, payload, appended_at) \
     SELECT $1, l.log_id, l.partition_number, l.kafka_offset, l.claim, $2, l.reason_code, l.field, l.reason, \
            l.record_key, l.payload, l.appended_at \
       FROM unnest($3::int[], $4::int[], $5::bigint[], $6::uuid[], $7::text[], $8::text[], $9::text[], $10::bytea[], \
                   $11::bytea[], $12::timestamptz[]) \
         AS l(log_id, partition_number, kafka_offset, claim, reason_code, field, reason, record_key, payload, appended_at) \
     ON CONFLICT (target, log_id, partition_number, kafka_offset) DO UPDATE SET claim = EXCLUDED.claim, \
         consumer_id = EXCLUDED.consumer_id, reason_code = EXCLUDED.reason_code, field = EXCLUDED.field, \
         reason = EXCLUDED.reason, record_key = EXCLUDED.record_key, payload = EXCLUDED.payload, \
         appended_at = EXCLUDED.appended_at, dead_at = EXCLUDED.dead_at, status = 'open', replayed_at = NULL, \
         replayed_by = NULL";

/// The ledger's entries and, from them, the sums by second and minute: one statement, one round trip.
/// Entries of one transaction are of different partitions, so no sum is moved twice.
pub(super) const LEDGER: &str = "WITH entry AS ( \
     INSERT INTO batch_ledger (target, log_id, partition_number, claim, boot_id, \
     consumer_id, first_offset, next_offset, stored_rows, dead_letters, gaps, first_append_at, last_append_at) \
     SELECT $1, e.log_id, e.partition_number, e.claim, $2, $3, e.first_offset, e.next_offset, e.stored_rows, \
            e.dead_letters, e.gaps::int8multirange, e.first_append_at, e.last_append_at \
       FROM unnest($4::int[], $5::int[], $6::uuid[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], \
                   $11::text[], $12::timestamptz[], $13::timestamptz[]) \
         AS e(log_id, partition_number, claim, first_offset, next_offset, stored_rows, dead_letters, gaps, \
              first_append_at, last_append_at) \
     RETURNING *), \
     timed AS (SELECT *, CASE WHEN first_append_at IS NULL THEN 0 ELSE stored_rows + dead_letters END AS records, \
            CASE WHEN first_append_at IS NOT NULL \
                 THEN greatest(0, extract(epoch FROM clock_timestamp() - first_append_at)) END AS first_s, \
            greatest(0, extract(epoch FROM clock_timestamp() - last_append_at)) AS last_s \
       FROM entry) \
     INSERT INTO throughput AS t (resolution_s, bucket, target, log_id, partition_number, consumer_id, batches, \
            stored_rows, dead_letters, timed_records, latency_sum_s, latency_max_s) \
     SELECT width, date_bin(make_interval(secs => width), stored_at, 'epoch'), target, log_id, partition_number, \
            consumer_id, 1, stored_rows, dead_letters, records, coalesce(records * (first_s + last_s) / 2, 0), first_s \
       FROM timed CROSS JOIN (VALUES (1::smallint), (60::smallint)) AS w(width) \
     ON CONFLICT (resolution_s, bucket, target, log_id, partition_number, consumer_id) DO UPDATE SET \
            batches = t.batches + 1, stored_rows = t.stored_rows + EXCLUDED.stored_rows, \
            dead_letters = t.dead_letters + EXCLUDED.dead_letters, \
            timed_records = t.timed_records + EXCLUDED.timed_records, \
            latency_sum_s = t.latency_sum_s + EXCLUDED.latency_sum_s, \
            latency_max_s = greatest(t.latency_max_s, EXCLUDED.latency_max_s)";

/// The one step whose refusal can be a row's own fault.
pub(super) const COPYING: &str = "copying the rows";
/// The one step that may suppose more than it should.
pub(super) const FOLLOWING: &str = "storing what follows from the rows";

/// Most bytes of dead letters that one INSERT carries.
const LETTER_BYTES: usize = 4 * 1024 * 1024;

impl BatchWriter {
    /// Runs the transaction up to and including COMMIT; `Ok(Err)` is a veto, not rolled back yet.
    pub(super) async fn run<V>(
        &self,
        author: &Author,
        parts: &[Part],
        veto: impl Future<Output = Option<V>>,
    ) -> Result<Result<Done, V>, Failure> {
        let client = &self.session.client;
        let during = |doing| move |error| (doing, error);
        // Not sent together with the fence: behind a BEGIN that failed, the server would run the fence
        // as a transaction of its own, and the offset would move without its rows.
        client.batch_execute("BEGIN").await.map_err(during("beginning a batch"))?;
        self.fence(parts).await.map_err(during("moving the stored offsets"))?;
        let rows = async {
            let rows: Vec<Bytes> = parts.iter().flat_map(|part| part.rows.iter().cloned()).collect();
            self.copy_rows(&rows).await.map_err(during(COPYING))?;
            let done = self.follow(parts).await.map_err(during(FOLLOWING))?;
            self.letters(author, parts).await.map_err(during("storing dead letters"))?;
            self.ledger(author, parts).await.map_err(during("writing the ledger"))?;
            self.alarms(author, parts).await.map_err(during("storing alarms"))?;
            Ok(done)
        };
        let (stored, veto) = tokio::join!(rows, veto);
        let done = stored?;
        if let Some(veto) = veto {
            return Ok(Err(veto));
        }
        client.batch_execute("COMMIT").await.map_err(during("committing a batch"))?;
        Ok(Ok(done))
    }

    async fn fence(&self, parts: &[Part]) -> Result<(), tokio_postgres::Error> {
        let log_ids: Vec<i32> = parts.iter().map(|p| p.log_id).collect();
        let partitions: Vec<i32> = parts.iter().map(|p| p.partition).collect();
        let claims: Vec<_> = parts.iter().map(|p| p.claim).collect();
        let expected: Vec<i64> = parts.iter().map(|p| p.expected).collect();
        let next: Vec<i64> = parts.iter().map(|p| p.next).collect();
        let epochs: Vec<i32> = parts.iter().map(|p| p.leader_epoch).collect();
        let values: [&(dyn ToSql + Sync); 7] =
            [&self.target, &log_ids, &partitions, &claims, &expected, &next, &epochs];
        self.session.client.query_one(&self.fence, &values).await.map(drop)
    }

    /// Sends encoded rows through COPY.
    pub(super) async fn copy_rows(&self, rows: &[Bytes]) -> Result<(), tokio_postgres::Error> {
        copy::send(&self.session.client, &self.copy, rows).await
    }

    async fn follow(&self, parts: &[Part]) -> Result<Done, tokio_postgres::Error> {
        let with_rows: Vec<&Part> = parts.iter().filter(|part| part.row_count > 0).collect();
        let mut done = Done::new();
        if self.then.is_empty() || with_rows.is_empty() {
            return Ok(done);
        }
        let log_ids: Vec<i32> = with_rows.iter().map(|p| p.log_id).collect();
        let partitions: Vec<i32> = with_rows.iter().map(|p| p.partition).collect();
        let first: Vec<i64> = with_rows.iter().map(|p| p.expected).collect();
        let next: Vec<i64> = with_rows.iter().map(|p| p.next).collect();
        let careful = self.refused.swap(false, Ordering::Relaxed);
        for statement in if careful { &self.careful } else { &self.then } {
            let rows = self.session.client.query(statement, &[&log_ids, &partitions, &first, &next]).await?;
            if !statement.columns().is_empty() {
                done.extend(rows.iter().map(|row| (row.get(0), unsigned(row.get(1)))));
            }
        }
        Ok(done)
    }

    async fn letters(&self, author: &Author, parts: &[Part]) -> Result<(), tokio_postgres::Error> {
        for some in portions(parts) {
            let log_ids: Vec<i32> = some.iter().map(|(p, _)| p.log_id).collect();
            let partitions: Vec<i32> = some.iter().map(|(p, _)| p.partition).collect();
            let offsets: Vec<i64> = some.iter().map(|(_, l)| l.offset).collect();
            let claims: Vec<_> = some.iter().map(|(p, _)| p.claim).collect();
            let codes: Vec<&str> = some.iter().map(|(_, l)| l.fault.code.as_str()).collect();
            let fields: Vec<Option<&str>> = some.iter().map(|(_, l)| l.fault.field.as_deref()).collect();
            let reasons: Vec<&str> = some.iter().map(|(_, l)| l.fault.text.as_str()).collect();
            let keys: Vec<Option<&[u8]>> = some.iter().map(|(_, l)| l.key.as_deref()).collect();
            let payloads: Vec<Option<&[u8]>> = some.iter().map(|(_, l)| l.payload.as_deref()).collect();
            let appended: Vec<_> = some.iter().map(|(_, l)| l.appended_at).collect();
            let values: [&(dyn ToSql + Sync); 12] = [
                &self.target,
                &author.consumer_id,
                &log_ids,
                &partitions,
                &offsets,
                &claims,
                &codes,
                &fields,
                &reasons,
                &keys,
                &payloads,
                &appended,
            ];
            self.session.client.execute(&self.letters, &values).await?;
        }
        Ok(())
    }

    async fn ledger(&self, author: &Author, parts: &[Part]) -> Result<(), tokio_postgres::Error> {
        let log_ids: Vec<i32> = parts.iter().map(|p| p.log_id).collect();
        let partitions: Vec<i32> = parts.iter().map(|p| p.partition).collect();
        let claims: Vec<_> = parts.iter().map(|p| p.claim).collect();
        let first: Vec<i64> = parts.iter().map(|p| p.expected).collect();
        let next: Vec<i64> = parts.iter().map(|p| p.next).collect();
        let rows: Vec<i64> = parts.iter().map(|p| signed(p.row_count)).collect();
        let letters: Vec<i64> = parts.iter().map(|p| signed(p.letters.len() as u64)).collect();
        let gaps: Vec<String> = parts.iter().map(|p| multirange(&p.gaps)).collect();
        let first_append: Vec<_> = parts.iter().map(|p| p.first_append_at).collect();
        let last_append: Vec<_> = parts.iter().map(|p| p.last_append_at).collect();
        let values: [&(dyn ToSql + Sync); 13] = [
            &self.target,
            &author.boot_id,
            &author.consumer_id,
            &log_ids,
            &partitions,
            &claims,
            &first,
            &next,
            &rows,
            &letters,
            &gaps,
            &first_append,
            &last_append,
        ];
        self.session.client.execute(&self.ledger, &values).await.map(drop)
    }
}

/// Dead letters in portions that one INSERT can carry.
fn portions(parts: &[Part]) -> Vec<Vec<(&Part, &Letter)>> {
    let mut portions: Vec<Vec<(&Part, &Letter)>> = Vec::new();
    let mut bytes = usize::MAX;
    for part in parts {
        for letter in &part.letters {
            if bytes >= LETTER_BYTES {
                portions.push(Vec::new());
                bytes = 0;
            }
            bytes += letter.payload.as_ref().map_or(0, Vec::len) + letter.key.as_ref().map_or(0, Vec::len) + 256;
            portions.last_mut().expect("one was just pushed").push((part, letter));
        }
    }
    portions
}

/// `int8multirange`'s text form.
fn multirange(gaps: &[(i64, i64)]) -> String {
    let ranges: Vec<String> = gaps.iter().map(|(from, to)| format!("[{from},{to})")).collect();
    format!("{{{}}}", ranges.join(","))
}

/// The rows of encoded chunks, one by one: each is a field count, then length and bytes a field.
pub(super) fn split_rows(chunks: &[Bytes]) -> Vec<Bytes> {
    let mut rows = Vec::new();
    for chunk in chunks {
        let mut rest = chunk.clone();
        while !rest.is_empty() {
            let length = row_length(&rest);
            rows.push(rest.split_to(length));
        }
    }
    rows
}

fn row_length(bytes: &[u8]) -> usize {
    let count = i16::from_be_bytes([bytes[0], bytes[1]]);
    (0..count).fold(2, |at, _| {
        let length = i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        at + 4 + usize::try_from(length).unwrap_or(0)
    })
}

/// Rows in as few chunks as there are runs, for sending a part of them again.
pub(super) fn join_rows(rows: &[Bytes]) -> Bytes {
    let mut joined = BytesMut::with_capacity(rows.iter().map(Bytes::len).sum());
    rows.iter().for_each(|row| joined.extend_from_slice(row));
    joined.freeze()
}
