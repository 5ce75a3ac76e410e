//! ListGroups and DescribeGroups: groups as Kafka shows them.
//!
//! Promises: both after a barrier (T5): what is not listed is not there. A group looks the same from every gateway (I-06).

use std::sync::Arc;

use bytes::Bytes;
use sluice_metadata::{Group, GroupPhase, Member};

use super::api::{GroupDescription, ListedGroup, MemberDescription};
use super::join::chosen_metadata;
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};

impl Engine {
    /// All groups, in the order of their ids.
    ///
    /// # Errors
    /// `NotFresh`.
    pub async fn list_groups(&self) -> EngineResult<Vec<ListedGroup>> {
        self.barrier().await?;
        let listed = |group: &Arc<Group>| ListedGroup {
            group_id: group.id.clone(),
            protocol_type: protocol_type(group),
            state: state_name(group.phase),
        };
        Ok(self.inner.replica.view().groups().map(listed).collect())
    }

    /// The groups asked for; `GroupIdNotFound` for one that is not there.
    pub async fn describe_groups(&self, group_ids: Vec<String>) -> Vec<EngineResult<GroupDescription>> {
        if let Err(error) = self.barrier().await {
            return group_ids.iter().map(|_| Err(error.clone())).collect();
        }
        let view = self.inner.replica.view();
        let groups: Vec<Option<Arc<Group>>> = group_ids.iter().map(|id| view.group(id).cloned()).collect();
        drop(view);
        let mut described = Vec::with_capacity(groups.len());
        for group in groups {
            described.push(match group {
                Some(group) => self.describe_group(&group).await,
                None => Err(EngineError::GroupIdNotFound),
            });
        }
        described
    }

    /// As Kafka: the protocol and the members' metadata only while the group is stable; assignments as they are stored.
    async fn describe_group(&self, group: &Group) -> EngineResult<GroupDescription> {
        let is_stable = group.phase == GroupPhase::Stable;
        let members: Vec<&Arc<Member>> = group.members.values().collect();
        let metadata = members.iter().map(|member| chosen_metadata(group, member).filter(|_| is_stable)).collect();
        let metadata = self.read_payloads(metadata).await?;
        let assignments = members.iter().map(|member| member.assignment.clone()).collect();
        let assignments = self.read_payloads(assignments).await?;
        let describe = |((member, metadata), assignment): ((&Arc<Member>, Bytes), Bytes)| MemberDescription {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata,
            assignment,
        };
        Ok(GroupDescription {
            state: state_name(group.phase),
            protocol_type: protocol_type(group),
            protocol: group.protocol.clone().filter(|_| is_stable).unwrap_or_else(|| "".into()),
            generation: group.generation,
            members: members.into_iter().zip(metadata).zip(assignments).map(describe).collect(),
        })
    }
}

fn protocol_type(group: &Group) -> Arc<str> {
    group.protocol_type.clone().unwrap_or_else(|| "".into())
}

/// Kafka's names. Its Dead is a group that is not there.
fn state_name(phase: GroupPhase) -> &'static str {
    match phase {
        GroupPhase::Empty => "Empty",
        GroupPhase::PreparingRebalance => "PreparingRebalance",
        GroupPhase::CompletingRebalance => "CompletingRebalance",
        GroupPhase::Stable => "Stable",
    }
}
