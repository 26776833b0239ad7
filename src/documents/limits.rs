//! What can be refused without looking at a store. Every adapter keeps Cosmos DB's limits, so that what passes on one
//! machine passes in Azure: <https://learn.microsoft.com/azure/cosmos-db/concepts-limits>.

use std::collections::HashSet;

use super::{Action, CommitError, DocumentsError, Operation, body};

const OPERATIONS: usize = 100;
const BYTES: usize = 2 * 1024 * 1024;
const ID_BYTES: usize = 1023;
const PARTITION_BYTES: usize = 2048;

/// Whether a document can have this id. Cosmos DB takes a `/` or `\` at creation and cannot read the document then.
pub(crate) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID_BYTES && !id.contains(['/', '\\', '?', '#'])
}

/// Refuses a commit that no store may take.
pub(crate) fn check_commit(partition: &str, operations: &[Operation]) -> Result<(), CommitError> {
    let refused = |problem: String| Err(CommitError::Refused(problem));
    if operations.is_empty() || operations.len() > OPERATIONS {
        return refused(format!("{} operations: a commit holds 1 to {OPERATIONS}", operations.len()));
    }
    if partition.len() > PARTITION_BYTES {
        return refused(format!("the partition key has more than {PARTITION_BYTES} bytes"));
    }
    let mut ids = HashSet::new();
    let mut bytes = 0;
    for Operation { id, action } in operations {
        if !is_id(id) {
            return refused(format!("{id:?} is no document id: 1 to {ID_BYTES} bytes without / \\ ? #"));
        }
        if !ids.insert(id) {
            return refused(format!("two operations on {id:?} in one commit"));
        }
        let (Action::Create { body, .. } | Action::Upsert { body, .. } | Action::Replace { body, .. }) = action else {
            continue;
        };
        bytes += body.len();
        if bytes > BYTES {
            return refused(format!("more than {BYTES} bytes in one commit"));
        }
        if let Err(error) = body::check(body) {
            return refused(format!("the body of {id:?} is no JSON object: {error}"));
        }
    }
    Ok(())
}

/// Refuses what is no top-level property of a body: names stand in the text of queries.
pub(crate) fn check_field(field: &'static str) -> Result<(), DocumentsError> {
    if field.is_empty() || !field.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(DocumentsError::Refused(format!("{field:?} is no property name")));
    }
    Ok(())
}
