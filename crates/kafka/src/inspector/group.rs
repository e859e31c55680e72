//! A consumer group as its coordinator describes it, of either protocol.
//!
//! librdkafka's own call tells no epochs and calls states that it does not know `Unknown`, so the coordinator is asked
//! directly: `ConsumerGroupDescribe` (KIP-848), and `DescribeGroups` for classic groups.

use bytes::Buf;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, DescribeGroupsRequest, FindCoordinatorRequest, GroupId,
    find_coordinator_response::Coordinator,
};
use kafka_protocol::protocol::{Decodable, StrBytes};

use super::{Error, Inspector, State};

/// `FindCoordinatorRequest.KeyType` of a group.
const GROUP: i8 = 0;
/// `GROUP_ID_NOT_FOUND`: no such group, or one of the classic protocol.
const GROUP_ID_NOT_FOUND: i16 = 69;
/// What a classic group that has no members, or never had any, is called.
const DEAD: &str = "Dead";

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id`, of a static one.
    pub instance_id: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// Member epoch (KIP-848).
    pub epoch: Option<i32>,
    /// Partitions of the topic that it is assigned, ascending.
    pub partitions: Vec<i32>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Such as `Stable`, `Reconciling`, `PreparingRebalance`, `Empty`.
    pub state: String,
    /// Group epoch (KIP-848); a classic group's generation is not told.
    pub epoch: Option<i32>,
    /// By member id.
    pub members: Vec<GroupMember>,
    /// `host:port` of its coordinator.
    pub coordinator: String,
}

impl Inspector {
    /// The group now, with what its members have of one topic; `None` when there is no such group.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Code`] when it may not be asked.
    pub async fn group(&self, group: &str, topic: &str) -> Result<Option<GroupDescription>, Error> {
        let mut state = self.state.lock().await;
        let known = state.coordinators.get(group).cloned();
        if let Some(coordinator) = known {
            match self.describe(&mut state, &coordinator, group, topic).await {
                Ok(described) => return Ok(described),
                // It may have moved.
                Err(_) => drop(state.coordinators.remove(group)),
            }
        }
        let coordinator = self.find_coordinator(&mut state, group).await?;
        let described = self.describe(&mut state, &coordinator, group, topic).await?;
        state.coordinators.insert(group.to_owned(), coordinator);
        Ok(described)
    }

    async fn find_coordinator(&self, state: &mut State, group: &str) -> Result<String, Error> {
        const DOING: &str = "asking for a group's coordinator";
        let ask = FindCoordinatorRequest::default()
            .with_key_type(GROUP)
            .with_coordinator_keys(vec![StrBytes::from(group.to_owned())]);
        let answer = self.ask_any(state, 4, &ask).await?;
        match answer.coordinators.first() {
            Some(Coordinator { error_code: 0, host, port, .. }) => Ok(format!("{host}:{port}")),
            Some(Coordinator { error_code, .. }) => Err(Error::Code { doing: DOING, code: *error_code }),
            None => Err(Error::Unreachable("an answer without the coordinator".into())),
        }
    }

    async fn describe(
        &self,
        state: &mut State,
        coordinator: &str,
        group: &str,
        topic: &str,
    ) -> Result<Option<GroupDescription>, Error> {
        const DOING: &str = "asking a coordinator for a group";
        let id = GroupId(StrBytes::from(group.to_owned()));
        let ask = ConsumerGroupDescribeRequest::default().with_group_ids(vec![id.clone()]);
        let answer = self.call(state, coordinator, 1, &ask).await?;
        let described =
            answer.groups.into_iter().next().ok_or_else(|| Error::Unreachable("no group in the answer".into()))?;
        match described.error_code {
            0 => {}
            GROUP_ID_NOT_FOUND => return self.describe_classic(state, coordinator, id, topic).await,
            code => return Err(Error::Code { doing: DOING, code }),
        }
        let members = described.members.into_iter().map(|member| {
            let of_topic = member.assignment.topic_partitions.into_iter().filter(|t| t.topic_name.as_str() == topic);
            GroupMember {
                member_id: member.member_id.to_string(),
                instance_id: member.instance_id.map(|id| id.to_string()),
                client_id: member.client_id.to_string(),
                epoch: Some(member.member_epoch),
                partitions: ascending(of_topic.flat_map(|t| t.partitions)),
            }
        });
        Ok(Some(GroupDescription {
            state: described.group_state.to_string(),
            epoch: Some(described.group_epoch),
            members: by_id(members),
            coordinator: coordinator.to_owned(),
        }))
    }

    async fn describe_classic(
        &self,
        state: &mut State,
        coordinator: &str,
        id: GroupId,
        topic: &str,
    ) -> Result<Option<GroupDescription>, Error> {
        const DOING: &str = "asking a coordinator for a classic group";
        let ask = DescribeGroupsRequest::default().with_groups(vec![id]);
        let answer = self.call(state, coordinator, 5, &ask).await?;
        let described =
            answer.groups.into_iter().next().ok_or_else(|| Error::Unreachable("no group in the answer".into()))?;
        match described.error_code {
            0 if described.group_state.as_str() == DEAD => return Ok(None),
            GROUP_ID_NOT_FOUND => return Ok(None),
            0 => {}
            code => return Err(Error::Code { doing: DOING, code }),
        }
        let members = described.members.into_iter().map(|member| GroupMember {
            member_id: member.member_id.to_string(),
            instance_id: member.group_instance_id.map(|id| id.to_string()),
            client_id: member.client_id.to_string(),
            epoch: None,
            partitions: assignment(member.member_assignment, topic),
        });
        Ok(Some(GroupDescription {
            state: described.group_state.to_string(),
            epoch: None,
            members: by_id(members),
            coordinator: coordinator.to_owned(),
        }))
    }
}

/// What a classic member was sent by its group's leader (`ConsumerProtocolAssignment`, its version before it). A member
/// that was assigned nothing yet has no bytes.
fn assignment(mut bytes: bytes::Bytes, topic: &str) -> Vec<i32> {
    if bytes.remaining() < 2 {
        return Vec::new();
    }
    let version = bytes.get_i16();
    let Ok(assignment) = ConsumerProtocolAssignment::decode(&mut bytes, version.clamp(0, 3)) else { return Vec::new() };
    let of_topic = assignment.assigned_partitions.into_iter().filter(|t| t.topic.as_str() == topic);
    ascending(of_topic.flat_map(|t| t.partitions))
}

fn ascending(partitions: impl Iterator<Item = i32>) -> Vec<i32> {
    let mut partitions: Vec<i32> = partitions.collect();
    partitions.sort_unstable();
    partitions
}

fn by_id(members: impl Iterator<Item = GroupMember>) -> Vec<GroupMember> {
    let mut members: Vec<GroupMember> = members.collect();
    members.sort_by(|a, b| a.member_id.cmp(&b.member_id));
    members
}
