//! Who the endpoint is and whom it believes: files, read again when they change.

use std::{
    fs,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use subtle::ConstantTimeEq;
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::config;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Bytes of such a file at most.
const LARGEST: usize = 1 << 20;
/// Characters of a token at least: fewer can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Everybody could post.
    #[error(
        "name a token file (--activity-token-file) or an authority of client certificates (--activity-client-ca): without one anybody could say what an engineer did"
    )]
    Open,
    /// A file is not there.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// A file is not what it should be.
    #[error("{0}: {1}")]
    Content(String, String),
}

/// What was read.
struct Loaded {
    /// The files' own bytes, to see that they changed.
    bytes: Vec<Vec<u8>>,
    tls: Arc<ServerConfig>,
    token: Option<Vec<u8>>,
}

/// The credentials as they are now.
pub struct Credentials {
    config: config::Activity,
    /// None as long as the files could not be read: then nobody is let in.
    loaded: RwLock<Option<Arc<Loaded>>>,
}

impl Credentials {
    /// Reads them. Without a token and without a client authority there are none. A file that cannot be read now is looked
    /// for again: accesses must end even where the Secret is gone.
    pub fn read(config: config::Activity) -> Result<Self, Error> {
        if config.token.is_none() && config.client_authority.is_none() {
            return Err(Error::Open);
        }
        let loaded = load(&config).map_err(|error| unread(&error)).ok().map(Arc::new);
        Ok(Self { config, loaded: RwLock::new(loaded) })
    }

    /// Who the endpoint is, and whose certificates it takes; none as long as that is not known.
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.loaded().map(|loaded| loaded.tls.clone())
    }

    /// Whether this value of an `Authorization` header is good. Where no token is asked for, the certificate was looked at
    /// when the connection was made.
    pub fn allow(&self, authorization: Option<&[u8]>) -> bool {
        let Some(loaded) = self.loaded() else { return false };
        let Some(token) = &loaded.token else { return true };
        let sent = authorization.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
        sent.ct_eq(token).into()
    }

    fn loaded(&self) -> Option<Arc<Loaded>> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again when they change, for ever. What cannot be read changes nothing.
    pub async fn keep_up(&self) {
        let mut failing = self.loaded().is_none();
        loop {
            tokio::time::sleep(LOOK).await;
            match load(&self.config) {
                Ok(loaded) => {
                    failing = false;
                    if self.loaded().is_none_or(|before| before.bytes != loaded.bytes) {
                        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(loaded));
                        tracing::info!("the audit stream's certificate and token were read: they are new");
                    }
                }
                Err(error) if !failing => {
                    failing = true;
                    unread(&error);
                }
                Err(_) => {}
            }
        }
    }
}

fn unread(error: &Error) {
    tracing::error!(%error, "the audit stream's files cannot be read: what was read before still counts, and without that no stream is taken");
}

fn load(config: &config::Activity) -> Result<Loaded, Error> {
    let certificate = file(&config.certificate)?;
    let key = file(&config.key)?;
    let token = config.token.as_deref().map(file).transpose()?;
    let authority = config.client_authority.as_deref().map(file).transpose()?;
    let tls = Arc::new(tls(config, &certificate, &key, authority.as_deref())?);
    let trimmed = token.as_deref().map(|token| token.trim_ascii().to_vec());
    if let (Some(token), Some(path)) = (&trimmed, &config.token)
        && token.len() < SHORTEST_TOKEN
    {
        return Err(bad(path, format!("a token has at least {SHORTEST_TOKEN} characters")));
    }
    let bytes = [Some(certificate), Some(key), token, authority].into_iter().flatten().collect();
    Ok(Loaded { bytes, tls, token: trimmed })
}

fn file(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = fs::read(path).map_err(|error| Error::File(path.display().to_string(), error))?;
    if bytes.len() > LARGEST { Err(bad(path, "it is too large")) } else { Ok(bytes) }
}

fn bad(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::Content(path.display().to_string(), format!("{what}"))
}

fn tls(
    config: &config::Activity,
    certificate: &[u8],
    key: &[u8],
    authority: Option<&[u8]>,
) -> Result<ServerConfig, Error> {
    let chain = certificates(&config.certificate, certificate)?;
    let private = PrivateKeyDer::from_pem_slice(key).map_err(|error| bad(&config.key, error))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&config.certificate, error))?;
    let builder = match (authority, &config.client_authority) {
        (Some(authority), Some(path)) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(path, authority)? {
                roots.add(root).map_err(|error| bad(path, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| bad(path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut tls = builder.with_single_cert(chain, private).map_err(|error| bad(&config.certificate, error))?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| bad(path, error))?;
    if all.is_empty() { Err(bad(path, "it holds no certificate")) } else { Ok(all) }
}
