//! As whom servers run: as ourselves, or, because PostgreSQL refuses root, as an unprivileged user where we are root.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;

/// Users tried in this order when we are root. `initdb` insists that the uid has a name.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The user that servers run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `None`: as ourselves.
    switch_to: Option<(u32, u32)>,
}

impl Account {
    /// Chooses the account.
    ///
    /// # Errors
    /// [`Error::Missing`] where we are root and the machine knows none of the unprivileged users.
    pub fn for_servers() -> Result<Self> {
        if process::uid() != 0 {
            return Ok(Self { switch_to: None });
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(Error::io("read", "/etc/passwd"))?;
        UNPRIVILEGED
            .iter()
            .find_map(|name| find(&passwd, name))
            .map(|ids| Self {
                switch_to: Some(ids),
            })
            .ok_or_else(|| Error::Missing {
                what: "a user that the server can run as (postgres or nobody)".into(),
                fix: "run `useradd --system postgres`, or run this as an ordinary user".into(),
            })
    }

    /// Lets `command` run as this account.
    pub fn apply(&self, command: &mut Command) {
        if let Some((uid, gid)) = self.switch_to {
            // As root the standard library drops supplementary groups too.
            command.uid(uid).gid(gid);
        }
    }

    /// Gives `path` to this account.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn own(&self, path: &Path) -> Result<()> {
        match self.switch_to {
            None => Ok(()),
            Some((uid, gid)) => std::os::unix::fs::lchown(path, Some(uid), Some(gid))
                .map_err(Error::io("change the owner of", path)),
        }
    }
}

/// The uid and gid of `name` in the text of a passwd(5) file; never root's.
fn find(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0 && gid != 0).then_some((uid, gid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_whole_name_and_root_is_refused() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody2:x:5:5::/:/x\nnobody:x:65534:65533:nobody:/:/bin/false\npostgres:x:0:0::/:/x\n";
        assert_eq!(find(passwd, "nobody"), Some((65534, 65533)));
        assert_eq!(find(passwd, "postgres"), None);
        assert_eq!(find(passwd, "nobod"), None);
    }
}
