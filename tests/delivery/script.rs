//! A server that says what it is told to, for what no real server can be made to do.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

/// After this answer nothing is said any more, and the connection stays open.
pub const SILENCE: &str = "";

pub struct Script {
    pub port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// Says the first text when somebody connects, and the next one for each line that comes, to every connection anew.
    /// After an answer 354 a message is read up to its end first.
    pub async fn start(answers: &[&str]) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(vec![]));
        let (answers, notes): (Vec<String>, _) = (answers.iter().map(ToString::to_string).collect(), heard.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (answers, notes) = (answers.clone(), notes.clone());
                tokio::spawn(async move {
                    let mut socket = BufReader::new(socket);
                    for answer in answers {
                        if answer == SILENCE {
                            break;
                        }
                        socket.get_mut().write_all(answer.as_bytes()).await.unwrap();
                        loop {
                            let mut line = vec![];
                            if socket.read_until(b'\n', &mut line).await.unwrap_or(0) == 0 {
                                return;
                            }
                            let line = String::from_utf8_lossy(&line).into_owned();
                            let ends = !answer.starts_with("354") || line == ".\r\n";
                            notes.lock().unwrap().push(line);
                            if ends {
                                break;
                            }
                        }
                    }
                    // Until the other side has had enough.
                    let _ = socket.read_to_end(&mut vec![]).await;
                });
            }
        });
        Script { port, heard }
    }

    /// All lines that came.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}
