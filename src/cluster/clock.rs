//! The API server's clock, as it stands in the `Date` of an answer.

use chrono::DateTime;
use kube::{Resource, api::GetParams, client::Body, core::Request};

use super::{Cluster, Error, limited};
use lockbox_api::{LockboxSettings, Moment, names};

impl Cluster {
    /// What the API server's clock says, in whole seconds; none if its answers have no date.
    pub async fn server_time(&self) -> Result<Option<Moment>, Error> {
        // Any call would do. This one is small, and the operator has the right to it anyway.
        let request = Request::new(LockboxSettings::url_path(&(), None));
        let answer = async {
            let request = request.get(names::SETTINGS, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
            self.client.send(request.map(Body::from)).await
        };
        let answer = limited("read the API server's clock", answer).await?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|date| date.to_utc()))
    }
}
