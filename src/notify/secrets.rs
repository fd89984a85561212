//! The files of a mounted Secret. They are read at every use: the kubelet swaps them when the Secret changes.

use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    path::PathBuf,
};

use super::{DeliveryStep, Trouble};

/// Most bytes of a file. A bundle of authorities is the largest that makes sense.
const MOST: u64 = 256 * 1024;

/// The folder in which a Secret is mounted:
///
/// | file | what |
/// |---|---|
/// | `smtp-username`, `smtp-password` | for PLAIN and LOGIN |
/// | `smtp-username`, `smtp-token` | for XOAUTH2 |
/// | `ca.crt` | PEM: authorities that count besides the public ones |
/// | `webhook-NAME-url` | where the webhook NAME is sent; https alone |
/// | `webhook-NAME-secret` | keys (`whsec_…`) that sign it, separated by blanks or lines; or the word `unsigned` |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    /// The Secret that is mounted in this folder. Nothing is read yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Secrets { folder: folder.into() }
    }

    /// A file without its last newline; the trouble names the file.
    pub(super) fn read(&self, name: &str) -> Result<String, Trouble> {
        self.optional(name)?.ok_or_else(|| trouble(name, "is not in the Secret"))
    }

    /// The same; nothing if there is no such file.
    pub(super) fn optional(&self, name: &str) -> Result<Option<String>, Trouble> {
        let mut text = String::new();
        let read = File::open(self.folder.join(name)).and_then(|file| file.take(MOST + 1).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(trouble(name, &error.to_string())),
            Ok(_) if text.len() as u64 > MOST => Err(trouble(name, &format!("has more than {MOST} bytes"))),
            Ok(_) => {
                let kept =
                    text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
                if kept.is_empty() {
                    return Err(trouble(name, "is empty"));
                }
                Ok(Some(kept.to_owned()))
            }
        }
    }

    /// A file that holds one line: a name, a password, a token. Control characters would end the command that it is sent in.
    pub(super) fn line(&self, name: &str) -> Result<String, Trouble> {
        let text = self.read(name)?;
        if text.len() > 16 * 1024 {
            return Err(trouble(name, "has more than 16384 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(trouble(name, "has a control character or more than one line"));
        }
        Ok(text)
    }
}

/// Trouble with a file of the Secret. Never quotes what is in it.
pub(super) fn trouble(name: &str, problem: &str) -> Trouble {
    Trouble::new(DeliveryStep::Credentials, format!("{name} {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_empty_too_large_or_of_two_lines_is_named_and_not_quoted() {
        let folder = std::env::temp_dir().join(format!("lockbox-secrets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let secrets = Secrets::new(&folder);
        for (content, problem) in [
            (None, "is not in the Secret"),
            (Some("\n".to_owned()), "is empty"),
            (Some("hunter2\nhunter2\n".to_owned()), "more than one line"),
            (Some("x".repeat(300_000)), "more than"),
            (Some("x".repeat(20_000)), "more than"),
        ] {
            match content {
                Some(content) => std::fs::write(folder.join("smtp-password"), content).unwrap(),
                None => assert!(!folder.join("smtp-password").exists()),
            }
            let trouble = secrets.line("smtp-password").unwrap_err();
            assert_eq!(trouble.step, DeliveryStep::Credentials);
            assert!(trouble.words.starts_with("smtp-password ") && trouble.words.contains(problem), "{trouble}");
            assert!(!trouble.words.contains("hunter2"), "{trouble}");
        }
        std::fs::write(folder.join("smtp-password"), " blanks are kept \r\n").unwrap();
        assert_eq!(secrets.line("smtp-password").unwrap(), " blanks are kept ");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
