//! Services: which ones Lockbox knows (M4), whether it applies to them here (M16), and what is wrong with what the
//! settings say of them.

mod catalogue;
mod hint;
mod problems;
mod review;

pub use catalogue::{
    CATALOGUE, Edition, Entry, Kind, Listing, MANAGED_DISK, MEMORY_DUMP, READ_LOGS, READ_OBJECTS, REMOTE_DESKTOP,
    SHELL, ScenarioEntry,
};
pub use hint::hint;
pub use problems::problems;
pub use review::{benchmark, review};

use lockbox_api::settings::{LockboxSettingsSpec, PreviewOptIn, Service, Stage};

/// The services of a cluster: the built-in ones and those of the settings, which override a built-in one of the same
/// name as a whole, aliases included.
#[derive(Clone, Debug)]
pub struct Catalogue<'a> {
    services: Vec<Source<'a>>,
}

/// Where a service is described.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    BuiltIn(&'static Entry),
    Settings(&'a Service),
}

impl<'a> Source<'a> {
    fn name(self) -> &'a str {
        match self {
            Self::BuiltIn(entry) => entry.name,
            Self::Settings(service) => &service.name,
        }
    }

    fn aliases(self) -> impl Iterator<Item = &'a str> {
        let (built_in, stated): (&[&str], &[String]) = match self {
            Self::BuiltIn(entry) => (entry.aliases, &[]),
            Self::Settings(service) => (&[], &service.aliases),
        };
        built_in.iter().copied().chain(stated.iter().map(String::as_str))
    }

    fn service(self) -> Service {
        match self {
            Self::BuiltIn(entry) => entry.into(),
            Self::Settings(service) => service.clone(),
        }
    }
}

impl<'a> Catalogue<'a> {
    /// The built-in services, as the settings override them, then what the settings add.
    ///
    /// Where the settings name a service twice (the schema refuses that), the first counts.
    pub fn new(settings: &'a LockboxSettingsSpec) -> Self {
        let stated = |name: &str| settings.services.iter().find(|service| service.name == name);
        let built_in =
            CATALOGUE.iter().map(|entry| stated(entry.name).map_or(Source::BuiltIn(entry), Source::Settings));
        let mut added: Vec<&Service> = settings
            .services
            .iter()
            .filter(|service| !CATALOGUE.iter().any(|entry| entry.name == service.name))
            .collect();
        // By name, so that writers who reorder the list change nothing. The sort keeps the first of two in front.
        added.sort_by(|a, b| a.name.cmp(&b.name));
        added.dedup_by(|second, first| second.name == first.name);
        Self { services: built_in.chain(added.into_iter().map(Source::Settings)).collect() }
    }

    /// The service of exactly this name or, failing that, alias.
    pub fn find(&self, name: &str) -> Option<Service> {
        self.source(name).map(Source::service)
    }

    /// The name of the service of exactly this name or alias. Compare services by it: an alias in a request and a name
    /// in a rule are the same service.
    pub fn canonical(&self, name: &str) -> Option<&'a str> {
        self.source(name).map(Source::name)
    }

    fn source(&self, name: &str) -> Option<Source<'a>> {
        let named = |service: &&Source<'a>| service.name() == name;
        let aliased = |service: &&Source<'a>| service.aliases().any(|alias| alias == name);
        self.services.iter().find(named).or_else(|| self.services.iter().find(aliased)).copied()
    }

    /// The name or alias that was probably meant by one that is unknown: the same but for upper and lower case, or a
    /// few letters away.
    pub fn nearest(&self, name: &str) -> Option<&'a str> {
        // A longer one is no misspelt name, and would only cost time.
        const LONGEST: usize = 80;
        if name.chars().take(LONGEST + 1).count() > LONGEST {
            return None;
        }
        let meant = name.to_lowercase();
        let allowed = (meant.chars().count() / 3).min(3);
        let names = self.services.iter().map(|service| service.name());
        let aliases = self.services.iter().flat_map(|service| service.aliases());
        names
            .chain(aliases)
            .map(|known| (strsim::osa_distance(&known.to_lowercase(), &meant), known))
            .filter(|(distance, _)| *distance <= allowed)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, known)| known)
    }

    /// All services, in a stable order: the documents', then additions by name.
    pub fn iter(&self) -> impl Iterator<Item = Service> {
        self.services.iter().map(|service| service.service())
    }
}

/// How far an access level of the service is supported: as its scenario says, or else as the service does.
pub fn stage_for(service: &Service, access_level: &str) -> Stage {
    service
        .scenarios
        .iter()
        .find(|scenario| scenario.access_level == access_level)
        .map_or(service.stage, |scenario| scenario.stage)
}

/// Whether the customer opts into the service, for as far as it is in preview.
pub fn opted_in(settings: &LockboxSettingsSpec, service: &Service) -> bool {
    match settings.preview_services.opt_in {
        PreviewOptIn::None => false,
        PreviewOptIn::All => true,
        PreviewOptIn::Listed => {
            settings.preview_services.names.iter().any(|name| *name == service.name || service.aliases.contains(name))
        }
    }
}

#[cfg(test)]
mod tests;
