//! Least privilege: the policies that the template gives its functions, held against every call as IAM would.
//!
//! Each function has an access key of its own, named after it. The operator's, which is that of tests and of the command
//! line, may do everything.

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

/// A call, or a part of one, that no policy of its caller allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "User: arn:aws:sts::{ACCOUNT}:assumed-role/{function} is not authorized to perform: {action} on resource: \
     {resource} because no identity-based policy allows the {action} action"
)]
pub struct Denial {
    /// Who called.
    pub function: String,
    /// What was asked for, such as `dynamodb:PutItem`.
    pub action: String,
    /// On what, as an ARN.
    pub resource: String,
}

/// Why a call is not let in.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody has this access key.
    UnknownAccessKey,
    Denied(Denial),
}

/// An action, a resource or a condition's value that a function's policy holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Whose policy it is.
    pub function: String,
    /// Where the template has the statement.
    pub statement: String,
    /// The action, resource or value as the statement has it.
    pub element: String,
}

impl fmt::Display for Permission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {} of {}", self.function, self.element, self.statement)
    }
}

/// The policies in force, and what they were needed for. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By the function's name, which is its access key too.
    functions: BTreeMap<String, Vec<Statement>>,
    /// The name of each table's partition key.
    partition_keys: BTreeMap<String, String>,
    needed: BTreeSet<Permission>,
    denials: Vec<Denial>,
}

impl Policies {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the template's policies in force.
    pub(crate) fn enforce(&self, template: &Template) {
        let mut state = self.lock();
        let functions = template.functions.iter();
        state.functions.extend(functions.map(|function| (function.name.clone(), function.statements.clone())));
        let tables = template.tables.iter();
        state.partition_keys.extend(tables.map(|table| (table.name().to_owned(), table.partition_key().to_owned())));
    }

    /// What the items of a table are found by.
    pub(crate) fn partition_key(&self, table: &str) -> Option<String> {
        self.lock().partition_keys.get(table).cloned()
    }

    fn knows(&self, access_key_id: &str) -> bool {
        access_key_id == ACCESS_KEY_ID || self.lock().functions.contains_key(access_key_id)
    }

    /// Lets a call in that its caller's policies allow all parts of. The one place where this is decided.
    pub(crate) fn authorise(&self, access_key_id: Option<&str>, demands: &[Demand]) -> Result<(), Refusal> {
        let caller = access_key_id.filter(|id| self.knows(id)).ok_or(Refusal::UnknownAccessKey)?;
        if caller == ACCESS_KEY_ID {
            return Ok(());
        }
        demands.iter().try_for_each(|demand| self.decide(caller, demand)).map_err(Refusal::Denied)
    }

    fn decide(&self, function: &str, demand: &Demand) -> Result<(), Denial> {
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
        // What two statements allow needs neither of them.
        if let [(statement, needed)] = allowing.as_slice() {
            let needed: Vec<_> = needed.iter().map(|element| permission(function, statement, element)).collect();
            state.needed.extend(needed);
        }
        Ok(())
    }

    /// What was denied so far.
    pub(crate) fn denials(&self) -> Vec<Denial> {
        self.lock().denials.clone()
    }

    /// What could be taken from the policies of the emulated services without a call so far having been denied.
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
    Permission { function: function.to_owned(), statement: statement.place.clone(), element: element.to_owned() }
}

/// The access key that a request is signed with.
pub(crate) fn access_key_id(request: &request::Parts) -> Option<&str> {
    let signature = request.headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    signature.split_once("Credential=")?.1.split('/').next()
}

#[cfg(test)]
mod tests;
