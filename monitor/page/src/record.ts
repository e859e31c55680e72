// What the recorder tells: the API's own types (openapi.json is held against the routes), with names as the page uses
// them.
//
// Times are milliseconds since the epoch, UTC, by the database's clock; inside verdicts (Rebalance, Handover,
// Evidence, Owned) they are RFC 3339. A span without an end lasts.

import type { components } from "./openapi";

type Schemas = components["schemas"];

/** Every field is always there: what is not known is null. */
type Complete<T> = T extends (infer Item)[]
  ? Complete<Item>[]
  : T extends object
    ? { [K in keyof T]-?: Complete<Exclude<T[K], undefined>> }
    : T;

export type Span = Complete<Schemas["Span"]>;
/** A record waited that nobody read: `from` detect `noticed` reassign `claimed` resume `until`. */
export type Dark = Complete<Schemas["Dark"]>;
export type Stretch = Complete<Schemas["Quiet"]>;
export type Lane = Complete<Schemas["Lane"]>;
export type Group = Complete<Schemas["GroupLanes"]>;
export type Slot = Complete<Schemas["Slot"]>;
export type Drill = Complete<Schemas["Drill"]>;
export type Blind = Complete<Schemas["Blind"]>;
export type CurvePoint = Complete<Schemas["CurvePoint"]>;
/** A rebalance as the timeline needs it. */
export type Brief = Complete<Schemas["Brief"]>;
/** GET /api/ownership */
export type Ownership = Complete<Schemas["Record"]>;
export type Cause = Schemas["Cause"];
export type Confidence = Schemas["Confidence"];
export type Handover = Complete<Schemas["Handover"]>;
export type Evidence = Complete<Schemas["Evidence"]>;
export type Rebalance = Complete<Schemas["Rebalance"]>;
/** An interval of the `ownership` event, named by `fact`. */
export type Owned = Pick<
  Complete<Schemas["Ownership"]>,
  "group_id" | "topic" | "partition" | "consumer_id" | "from" | "until" | "fact"
>;
export type Note = Complete<Schemas["Note"]>;
/** GET /api/rebalances/{id} */
export type Told = Complete<Schemas["RebalanceReport"]>;
/** GET /api/rebalances */
export type Rebalances = Complete<Schemas["Rebalances"]>;
/** GET /api/assignments */
export type Assignments = Complete<Schemas["Assignments"]>;
export type Finding = Complete<Schemas["Finding"]>;
export type Member = Complete<Schemas["GroupMember"]>;
/** Of GET /api/groups, and of `state`. */
export type GroupNow = Complete<Schemas["Group"]>;

export type State = Omit<Schemas["State"], "groups"> & { groups: GroupNow[] };
export type Partition = Schemas["Partition"];
