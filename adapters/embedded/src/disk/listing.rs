//! Lists the objects under a folder in the order of their keys, reading no folder it need not.

use std::io;
use std::path::Path;

use sluice_store::{ObjectInfo, ObjectKey};

use super::files::{FileLayer, FolderEntry};
use super::objects::is_absence;

/// Something in a folder: an object's whole key, or the beginning, with its slash, of all keys in a folder.
struct Node {
    text: String,
    is_folder: bool,
}

/// The objects below `root` whose key begins with `prefix` and is greater than `start_after`: the first `limit`.
///
/// `prefix` is compared with names and never becomes a path, so that none leads out of `root`.
pub(super) fn list(
    files: &dyn FileLayer,
    root: &Path,
    prefix: &str,
    start_after: Option<&ObjectKey>,
    limit: usize,
) -> io::Result<Vec<ObjectInfo>> {
    let start_after = start_after.map_or("", ObjectKey::as_str);
    let mut found = Vec::new();
    // The folders that are being read, each with what is left of it, in key order.
    let mut open = vec![read_folder(files, root, "", prefix, start_after)?.into_iter()];
    while found.len() < limit {
        let Some(folder) = open.last_mut() else { break };
        match folder.next() {
            None => drop(open.pop()),
            Some(node) if node.is_folder => {
                open.push(read_folder(files, root, &node.text, prefix, start_after)?.into_iter());
            }
            Some(node) => found.extend(object(files, root, &node.text)?),
        }
    }
    Ok(found)
}

/// The nodes in the folder `at` (empty or with its slash) that can hold a match.
fn read_folder(files: &dyn FileLayer, root: &Path, at: &str, prefix: &str, start_after: &str) -> io::Result<Vec<Node>> {
    let entries = match files.list(&root.join(at)) {
        // Removed since its parent was read.
        Err(error) if is_absence(&error) => Vec::new(),
        entries => entries?,
    };
    let node = |FolderEntry { name, is_folder }| {
        let slash = if is_folder { "/" } else { "" };
        Node { text: format!("{at}{name}{slash}"), is_folder }
    };
    let can_match = |node: &Node| {
        let text = node.text.as_str();
        if node.is_folder {
            let holds_prefix = text.starts_with(prefix) || prefix.starts_with(text);
            holds_prefix && (text > start_after || start_after.starts_with(text))
        } else {
            text.starts_with(prefix) && text > start_after
        }
    };
    let mut nodes: Vec<Node> = entries.into_iter().map(node).filter(can_match).collect();
    // With its slash, a folder stands where its keys stand: after "a-b" and "a.b", before "a0".
    nodes.sort_unstable_by(|a, b| a.text.cmp(&b.text));
    Ok(nodes)
}

fn object(files: &dyn FileLayer, root: &Path, text: &str) -> io::Result<Option<ObjectInfo>> {
    // A file that someone else put here is no object.
    let Ok(key) = ObjectKey::new(text) else { return Ok(None) };
    match files.metadata(&root.join(text)) {
        Err(error) if is_absence(&error) => Ok(None),
        info => {
            let (size_bytes, last_modified_ms) = info.map(|info| (info.len, info.modified_ms))?;
            Ok(Some(ObjectInfo { key, size_bytes, last_modified_ms, crc32c: None }))
        }
    }
}
