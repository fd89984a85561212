//! The path of a call and what follows its question mark.

/// Values of one parameter that are looked at: a command's words.
const MOST_VALUES: usize = 64;

/// The path alone. What follows the question mark can hold what is secret to an application behind a proxy.
pub fn path(uri: &str) -> &str {
    uri.split_once('?').map_or(uri, |(path, _)| path)
}

/// The values of a parameter, in order.
pub fn values(uri: &str, name: &str) -> Vec<String> {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    query
        .split('&')
        .filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key) == name).then(|| decoded(value))
        })
        .take(MOST_VALUES)
        .collect()
}

/// Whether nothing was to be stored.
pub fn is_dry(uri: &str) -> bool {
    values(uri, "dryRun").iter().any(|value| !value.is_empty())
}

/// What `%41` and `+` stand for. What is no escape stands for itself.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                if let (Some(high), Some(low)) = (digit(*high), digit(*low)) {
                    bytes.push(high * 16 + low);
                    rest = after;
                } else {
                    bytes.push(b'%');
                    rest = tail;
                }
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_command_are_read_in_their_order() {
        let uri = "/api/v1/namespaces/shop/pods/web/exec?command=sh&command=-c&command=ls+%2Ftmp%20%26&container=app&stdin=true";
        assert_eq!(values(uri, "command"), ["sh", "-c", "ls /tmp &"]);
        assert_eq!(values(uri, "container"), ["app"]);
        assert_eq!(values(uri, "tty"), Vec::<String>::new());
        assert_eq!(path(uri), "/api/v1/namespaces/shop/pods/web/exec");
    }

    #[test]
    fn what_is_no_escape_stands_for_itself() {
        assert_eq!(values("/x?a=100%&a=%zz&a=%4", "a"), ["100%", "%zz", "%4"]);
        assert_eq!(values("/x?a=%ff", "a"), ["\u{fffd}"]);
        assert_eq!(values("/x", "a"), Vec::<String>::new());
    }

    #[test]
    fn a_dry_run_is_told_from_a_call_that_stores() {
        assert!(is_dry("/api/v1/pods?dryRun=All"));
        assert!(is_dry("/api/v1/pods?fieldManager=x&dry%52un=All"));
        assert!(!is_dry("/api/v1/pods?dryRun="));
        assert!(!is_dry("/api/v1/pods?fieldManager=dryRun"));
    }
}
