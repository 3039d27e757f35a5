//! IAM emulation: check every call against the policies of the calling function in the template.
//!
//! Each function has its own access key, which equals the function's name. Tests and the command line use the operator's
//! access key, which has all permissions.

mod demand;
mod s3;
mod statement;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::request;

pub(crate) use self::demand::{Demand, dynamodb, put_events};
pub use self::statement::{Condition, Effect, Statement};
use crate::template::Template;
use crate::{ACCESS_KEY_ID, ACCOUNT};

/// A denied call, or the denied action of a call with several actions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "User: arn:aws:sts::{ACCOUNT}:assumed-role/{function} is not authorized to perform: {action} on resource: \
     {resource} because no identity-based policy allows the {action} action"
)]
pub struct Denial {
    /// Name of the calling function.
    pub function: String,
    /// Denied action, such as `dynamodb:PutItem`.
    pub action: String,
    /// ARN of the resource.
    pub resource: String,
}

/// Reason for rejecting a call.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The access key does not exist.
    UnknownAccessKey,
    Denied(Denial),
}

/// One element of a policy statement: an action, a resource or a condition value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Name of the function with the policy.
    pub function: String,
    /// Location of the statement in the template, such as `NoteUsePolicy[0]`.
    pub statement: String,
    /// The action, resource or value as written in the statement.
    pub element: String,
}

impl fmt::Display for Permission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {} of {}", self.function, self.element, self.statement)
    }
}

/// Enforced policies, denials, and the permissions that calls have needed. Clones share the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Statements by function name, which is also the access key.
    functions: BTreeMap<String, Vec<Statement>>,
    /// Partition key name by table name.
    partition_keys: BTreeMap<String, String>,
    needed: BTreeSet<Permission>,
    denials: Vec<Denial>,
}

impl Policies {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enforce the policies of the template.
    pub(crate) fn enforce(&self, template: &Template) {
        let mut state = self.lock();
        let functions = template.functions.iter();
        state.functions.extend(functions.map(|function| (function.name.clone(), function.statements.clone())));
        let tables = template.tables.iter();
        state.partition_keys.extend(tables.map(|table| (table.name().to_owned(), table.partition_key().to_owned())));
    }

    /// Name of the table's partition key. `None` if the table is not in the template.
    pub(crate) fn partition_key(&self, table: &str) -> Option<String> {
        self.lock().partition_keys.get(table).cloned()
    }

    fn has_access_key(&self, access_key_id: &str) -> bool {
        access_key_id == ACCESS_KEY_ID || self.lock().functions.contains_key(access_key_id)
    }

    /// Check that the caller's policies allow all actions of a call. All services use this check.
    pub(crate) fn authorise(&self, access_key_id: Option<&str>, demands: &[Demand]) -> Result<(), Refusal> {
        let caller = access_key_id.filter(|id| self.has_access_key(id)).ok_or(Refusal::UnknownAccessKey)?;
        if caller == ACCESS_KEY_ID {
            return Ok(());
        }
        demands.iter().try_for_each(|demand| self.authorise_one(caller, demand)).map_err(Refusal::Denied)
    }

    fn authorise_one(&self, function: &str, demand: &Demand) -> Result<(), Denial> {
        let mut state = self.lock();
        let statements = state.functions.get(function).map_or(&[][..], Vec::as_slice);
        let covering = statements.iter().filter_map(|statement| Some((statement, statement.covers(demand)?)));
        let (allowing, denying): (Vec<_>, Vec<_>) =
            covering.partition(|(statement, _)| statement.effect == Effect::Allow);
        if allowing.is_empty() || !denying.is_empty() {
            let Demand { action, resource, .. } = demand;
            tracing::warn!(function, action, resource, "template.yaml does not allow this call");
            let denial = Denial { function: function.to_owned(), action: action.clone(), resource: resource.clone() };
            state.denials.push(denial.clone());
            return Err(denial);
        }
        // If several statements allow the action, none of them is needed.
        if let [(statement, needed)] = allowing.as_slice() {
            let needed: Vec<_> = needed.iter().map(|element| permission(function, statement, element)).collect();
            state.needed.extend(needed);
        }
        Ok(())
    }

    /// All denials so far.
    pub(crate) fn denials(&self) -> Vec<Denial> {
        self.lock().denials.clone()
    }

    /// Permissions for emulated services that no call has needed so far.
    pub(crate) fn unneeded(&self) -> Vec<Permission> {
        let state = self.lock();
        let allowing = |(function, statements): (&String, &Vec<Statement>)| {
            let allowed = statements.iter().filter(|statement| statement.is_emulated());
            let permissions = allowed.flat_map(|statement| {
                statement.elements().into_iter().map(|element| permission(function, statement, element))
            });
            permissions.collect::<Vec<_>>()
        };
        let all = state.functions.iter().flat_map(allowing);
        all.filter(|permission| !state.needed.contains(permission)).collect()
    }
}

fn permission(function: &str, statement: &Statement, element: &str) -> Permission {
    Permission { function: function.to_owned(), statement: statement.location.clone(), element: element.to_owned() }
}

/// Access key ID from the `Authorization` header. `None` if the request is unsigned.
pub(crate) fn access_key_id(request: &request::Parts) -> Option<&str> {
    let signature = request.headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    signature.split_once("Credential=")?.1.split('/').next()
}

#[cfg(test)]
mod tests;
