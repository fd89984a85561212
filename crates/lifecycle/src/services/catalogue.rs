//! The built-in catalogue: every service that an edition of the documents names, and the kinds of objects that stand for
//! it on Kubernetes.
//!
//! A right on a custom resource shows its specification, not the data behind it: data is reached through workloads and
//! disks, so entries list both. No entry reaches secrets (Key Vault is in no edition): a customer may add one in the
//! settings. Entries are never taken out, so that settings which name them stay valid: a service that goes becomes
//! [`Stage::NotSupported`].

use lockbox_api::{
    Scope,
    settings::{GroupResource, Scenario, Service, Stage},
};

use Listing::{Absent as O, GeneralAvailability as G, NotSupported as N, Preview as P, Supported as S};

/// Remote desktop and console of virtual machines.
pub const REMOTE_DESKTOP: &str = "RemoteDesktop";
/// Memory dumps of virtual machines.
pub const MEMORY_DUMP: &str = "MemoryDump";
/// Volumes, snapshots and what is exported of them.
pub const MANAGED_DISK: &str = "ManagedDisk";
/// A shell in Pods.
pub const SHELL: &str = "Shell";
/// Logs of Pods.
pub const READ_LOGS: &str = "ReadLogs";
/// Specification and status of objects.
pub const READ_OBJECTS: &str = "ReadObjects";

/// A built-in service. Its public fields are those of [`Service`], and in which editions of the documents it stands.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What requests name it.
    pub name: &'static str,
    /// Its name in the documents.
    pub display_name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// How far it is supported.
    pub stage: Stage,
    /// Access levels that the documents list by themselves.
    pub scenarios: &'static [ScenarioEntry],
    /// Scopes that may be asked for.
    pub scopes: &'static [Scope],
    /// Kinds of objects that belong to it, in groups that several services share. Empty: nothing on Kubernetes.
    pub kinds: &'static [&'static [Kind]],
    /// Access levels that make sense for these kinds.
    pub access_levels: &'static [&'static str],
    /// What to do where it is not supported.
    pub advice: Option<&'static str>,
    /// Where it stands in each edition, oldest first; of no meaning when there are scenarios.
    editions: [Listing; 5],
}

/// An access level of a service that the documents list by itself.
#[derive(Clone, Copy, Debug)]
pub struct ScenarioEntry {
    /// The access level.
    pub access_level: &'static str,
    /// How far it is supported.
    pub stage: Stage,
    editions: [Listing; 5],
}

/// A kind of object by group and plural name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural name of the kind.
    pub resource: &'static str,
}

/// An edition of the documents, by year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edition {
    /// 2019.
    Of2019,
    /// 2020.
    Of2020,
    /// 2021.
    Of2021,
    /// 2023.
    Of2023,
    /// 2024, the newest.
    Of2024,
}

/// How an edition of the documents lists a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listing {
    /// Not at all.
    Absent,
    /// In preview.
    Preview,
    /// Generally available.
    GeneralAvailability,
    /// Without a stage; taken as generally available.
    Supported,
    /// Expressly not supported.
    NotSupported,
}

impl Entry {
    const fn new(name: &'static str, display_name: &'static str, editions: [Listing; 5]) -> Self {
        Self {
            name,
            display_name,
            aliases: &[],
            stage: Stage::GeneralAvailability,
            scenarios: &[],
            scopes: &[Scope::Subscription],
            kinds: &[],
            access_levels: &[],
            advice: None,
            editions,
        }
    }

    const fn on(mut self, kinds: &'static [&'static [Kind]], access_levels: &'static [&'static str]) -> Self {
        self.kinds = kinds;
        self.access_levels = access_levels;
        self
    }

    const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Some of its kinds are of the whole cluster.
    const fn also_tenant(mut self) -> Self {
        self.scopes = &[Scope::Subscription, Scope::Tenant];
        self
    }

    const fn preview(mut self) -> Self {
        self.stage = Stage::Preview;
        self
    }

    const fn not_supported(mut self, advice: &'static str) -> Self {
        self.stage = Stage::NotSupported;
        self.advice = Some(advice);
        self
    }

    const fn by_scenario(mut self, scenarios: &'static [ScenarioEntry]) -> Self {
        self.scenarios = scenarios;
        self
    }

    /// How the edition lists it: once, or once for each of its scenarios.
    pub fn listings(&self, edition: Edition) -> impl Iterator<Item = Listing> + use<> {
        let whole = self.scenarios.is_empty().then(|| edition.of(self.editions));
        whole.into_iter().chain(self.scenarios.iter().map(move |scenario| scenario.listing(edition)))
    }
}

impl ScenarioEntry {
    const fn new(access_level: &'static str, editions: [Listing; 5]) -> Self {
        Self { access_level, stage: Stage::GeneralAvailability, editions }
    }

    /// How the edition lists it.
    pub fn listing(&self, edition: Edition) -> Listing {
        edition.of(self.editions)
    }
}

impl Edition {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [Self::Of2019, Self::Of2020, Self::Of2021, Self::Of2023, Self::Of2024];

    const fn of(self, editions: [Listing; 5]) -> Listing {
        let [of_2019, of_2020, of_2021, of_2023, of_2024] = editions;
        match self {
            Self::Of2019 => of_2019,
            Self::Of2020 => of_2020,
            Self::Of2021 => of_2021,
            Self::Of2023 => of_2023,
            Self::Of2024 => of_2024,
        }
    }
}

impl From<&Entry> for Service {
    fn from(entry: &Entry) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            name: entry.name.to_owned(),
            display_name: Some(entry.display_name.to_owned()),
            stage: entry.stage,
            scenarios: entry.scenarios.iter().map(Scenario::from).collect(),
            scopes: entry.scopes.to_vec(),
            resources: entry.kinds.iter().copied().flatten().map(GroupResource::from).collect(),
            access_levels: owned(entry.access_levels),
            aliases: owned(entry.aliases),
            advice: entry.advice.map(str::to_owned),
        }
    }
}

impl From<&ScenarioEntry> for Scenario {
    fn from(entry: &ScenarioEntry) -> Self {
        Self { access_level: entry.access_level.to_owned(), stage: entry.stage }
    }
}

impl From<&Kind> for GroupResource {
    fn from(kind: &Kind) -> Self {
        Self { group: kind.group.to_owned(), resource: kind.resource.to_owned() }
    }
}

const fn kind(group: &'static str, resource: &'static str) -> Kind {
    Kind { group, resource }
}

const WORKLOADS: &[Kind] =
    &[kind("", "pods"), kind("apps", "deployments"), kind("apps", "statefulsets"), kind("apps", "replicasets")];
const DISKS: &[Kind] = &[kind("", "persistentvolumeclaims"), kind("snapshot.storage.k8s.io", "volumesnapshots")];
const CONFIG_MAPS: &[Kind] = &[kind("", "configmaps")];
const JOBS: &[Kind] = &[kind("batch", "jobs"), kind("batch", "cronjobs")];
/// The same Events under both of their groups: a right on the one is none on the other.
const EVENTS: &[Kind] = &[kind("", "events"), kind("events.k8s.io", "events")];
/// What of the cluster itself a support engineer may read. Never nodes/proxy: it is a way around every other rule.
const CLUSTER: &[Kind] = &[kind("", "nodes"), kind("", "namespaces"), kind("", "persistentvolumes")];
const DATA_VOLUMES: &[Kind] = &[kind("cdi.kubevirt.io", "datavolumes")];
const INNODB_CLUSTERS: &[Kind] = &[kind("mysql.oracle.com", "innodbclusters")];
const INFERENCE_SERVICES: &[Kind] = &[kind("serving.kserve.io", "inferenceservices")];
const SPARK: &[Kind] = &[kind("sparkoperator.k8s.io", "sparkapplications")];

const WORK: &[&str] = &[SHELL, READ_LOGS, READ_OBJECTS];
const DISK: &[&str] = &[MANAGED_DISK, READ_OBJECTS];
const WORK_AND_DISK: &[&str] = &[SHELL, READ_LOGS, READ_OBJECTS, MANAGED_DISK];
const READ: &[&str] = &[READ_OBJECTS];

/// The built-in catalogue, in the order of the documents.
pub static CATALOGUE: &[Entry] = &[
    Entry::new("ApiManagement", "API Management", [O, P, G, G, S]).on(
        &[&[
            kind("gateway.networking.k8s.io", "gateways"),
            kind("gateway.networking.k8s.io", "httproutes"),
            kind("networking.k8s.io", "ingresses"),
        ]],
        READ,
    ),
    Entry::new("AppService", "App Service", [O, P, G, G, S]).on(&[WORKLOADS, CONFIG_MAPS], WORK),
    Entry::new("AISearch", "AI Search", [O, O, O, G, S]).alias(&["CognitiveSearch"]).on(
        &[
            // The operator moved from the first group to the second, and serves both meanwhile.
            &[kind("opensearch.opster.io", "opensearchclusters"), kind("opensearch.org", "opensearchclusters")],
            WORKLOADS,
            DISKS,
        ],
        WORK_AND_DISK,
    ),
    Entry::new("CognitiveServices", "Cognitive Services", [O, P, G, G, S]).on(&[INFERENCE_SERVICES, WORKLOADS], WORK),
    Entry::new("ContainerRegistry", "Container Registry", [O, P, G, G, S]).on(&[WORKLOADS, DISKS], WORK_AND_DISK),
    Entry::new("DataBox", "Data Box", [O, P, G, G, S]).on(&[DATA_VOLUMES], READ),
    Entry::new("DataExplorer", "Data Explorer", [P, P, G, G, S])
        .on(&[&[kind("clickhouse.altinity.com", "clickhouseinstallations")], WORKLOADS, DISKS], WORK_AND_DISK),
    Entry::new("DataFactory", "Data Factory", [O, P, G, G, S])
        .on(&[&[kind("argoproj.io", "workflows"), kind("argoproj.io", "cronworkflows")], JOBS], READ),
    Entry::new("DataManagerForEnergy", "Data Manager for Energy", [O, O, O, G, S]),
    Entry::new("DatabaseForMySQL", "Database for MySQL", [O, P, G, G, S])
        .on(&[INNODB_CLUSTERS, WORKLOADS, DISKS], WORK_AND_DISK),
    Entry::new("DatabaseForMySQLFlexibleServer", "MySQL Flexible Server", [O, O, O, G, S])
        .alias(&["MySQLFlexibleServer"])
        .on(&[INNODB_CLUSTERS, &[kind("pxc.percona.com", "perconaxtradbclusters")], WORKLOADS, DISKS], WORK_AND_DISK),
    Entry::new("DatabaseForPostgreSQL", "Database for PostgreSQL", [O, P, G, G, S])
        .on(&[&[kind("postgresql.cnpg.io", "clusters")], WORKLOADS, DISKS], WORK_AND_DISK),
    Entry::new("Databricks", "Databricks", [O, P, G, G, S]).on(&[SPARK, WORKLOADS], WORK),
    Entry::new("EdgeZonePlatformStorage", "Edge Zone Platform Storage", [O, O, O, G, S])
        .on(&[DISKS, &[kind("", "persistentvolumes")]], DISK)
        .also_tenant(),
    Entry::new("Energy", "Energy", [O, O, O, O, S]),
    Entry::new("Functions", "Functions", [O, P, G, G, S])
        .on(&[&[kind("serving.knative.dev", "services")], WORKLOADS], WORK),
    Entry::new("HDInsight", "HDInsight", [O, P, G, G, S]).on(&[SPARK, WORKLOADS, DISKS], WORK_AND_DISK),
    Entry::new("HealthBot", "Health Bot", [O, O, O, G, S]),
    Entry::new("IntelligentRecommendations", "Intelligent Recommendations", [O, O, O, G, S]),
    Entry::new("KubernetesService", "Kubernetes Service", [O, P, G, G, S])
        .on(&[WORKLOADS, EVENTS, CLUSTER], WORK)
        .also_tenant(),
    Entry::new("LoadTesting", "Load Testing (CloudNative Testing)", [O, O, O, O, S])
        .alias(&["CloudNativeTesting"])
        .on(&[&[kind("k6.io", "testruns")], JOBS], READ),
    Entry::new("LogicApps", "Logic Apps", [O, O, O, G, S]).on(&[&[kind("argoproj.io", "workflows")]], READ),
    Entry::new("Monitor", "Monitor", [O, O, G, G, S]).on(
        &[
            &[kind("", "pods")],
            EVENTS,
            &[kind("monitoring.coreos.com", "prometheuses"), kind("monitoring.coreos.com", "alertmanagers")],
        ],
        &[READ_LOGS, READ_OBJECTS],
    ),
    Entry::new("RedHatOpenShift", "Red Hat OpenShift", [O, O, O, O, S])
        .on(&[WORKLOADS, EVENTS, CLUSTER, &[kind("route.openshift.io", "routes")]], WORK)
        .also_tenant(),
    Entry::new("SpringApps", "Spring Apps", [O, O, O, G, S]).on(&[WORKLOADS, CONFIG_MAPS], WORK),
    Entry::new("SQLDatabase", "SQL Database", [P, P, G, G, S]).alias(&["SQLDB"]).on(&[WORKLOADS, DISKS], WORK_AND_DISK),
    Entry::new("SQLManagedInstance", "SQL managed instance", [O, O, O, G, S]).on(&[WORKLOADS, DISKS], WORK_AND_DISK),
    Entry::new("Storage", "Storage", [P, P, G, G, S])
        .on(&[DISKS, &[kind("objectstorage.k8s.io", "bucketclaims")]], DISK),
    Entry::new("SubscriptionTransfers", "subscription transfers", [P, P, G, G, S])
        .on(&[&[kind("", "namespaces"), kind("lockbox.dev", "roleassignments")]], READ)
        .also_tenant(),
    Entry::new("SynapseAnalytics", "Synapse Analytics", [O, P, G, G, S]).on(&[SPARK, WORKLOADS, DISKS], WORK_AND_DISK),
    Entry::new("CommerceAI", "Commerce AI (Intelligent Recommendations)", [O, O, O, O, S]),
    Entry::new("DevCenter", "DevCenter, DevBox", [O, O, O, O, S])
        .alias(&["DevBox"])
        .on(&[&[kind("workspace.devfile.io", "devworkspaces")], WORKLOADS], WORK),
    Entry::new("ElasticSan", "ElasticSan", [O, O, O, O, S])
        .on(&[DISKS, &[kind("storage.k8s.io", "volumeattachments")]], DISK)
        .also_tenant(),
    Entry::new("KustoDashboards", "Kusto (Dashboards)", [O, O, O, O, S])
        .on(&[&[kind("grafana.integreatly.org", "grafanadashboards")]], READ),
    Entry::new("Attestation", "Azure Attestation", [O, O, O, G, S]),
    Entry::new("OpenAI", "OpenAI", [O, O, O, G, S]).on(&[INFERENCE_SERVICES, WORKLOADS], WORK),
    Entry::new("SpringCloud", "Spring Cloud", [O, O, O, O, S]).on(&[WORKLOADS, CONFIG_MAPS], WORK),
    Entry::new("UnifiedVisionService", "Unified Vision Service", [O, O, O, G, S]),
    Entry::new("VirtualMachines", "virtual machines", [O; 5])
        .on(
            &[
                &[kind("kubevirt.io", "virtualmachines"), kind("kubevirt.io", "virtualmachineinstances")],
                DISKS,
                DATA_VOLUMES,
                &[kind("export.kubevirt.io", "virtualmachineexports")],
            ],
            &[REMOTE_DESKTOP, MEMORY_DUMP, MANAGED_DISK, READ_OBJECTS],
        )
        .by_scenario(&[
            ScenarioEntry::new(REMOTE_DESKTOP, [G, G, G, G, S]),
            ScenarioEntry::new(MEMORY_DUMP, [P, P, G, G, S]),
            ScenarioEntry::new(MANAGED_DISK, [P, P, G, G, S]),
        ]),
    // Named until 2020. What ran there are workloads.
    Entry::new("CloudServices", "PaaS web and worker roles", [G, G, O, O, O]).on(&[WORKLOADS], WORK),
    // Named until 2020. A pool's machines are asked for as VirtualMachines, by name.
    Entry::new("VirtualMachineScaleSets", "virtual machine scale sets, Windows and Linux", [G, G, O, O, O])
        .on(&[&[kind("pool.kubevirt.io", "virtualmachinepools")]], READ),
    Entry::new("VirtualMachinesClassic", "IaaS Classic", [N, N, O, O, O])
        .not_supported("move the machines to the service VirtualMachines"),
    // Last listed in 2023, in preview.
    Entry::new("MachineLearning", "Machine Learning", [O, O, O, P, O])
        .on(&[&[kind("ray.io", "rayclusters"), kind("kubeflow.org", "notebooks")], WORKLOADS], WORK)
        .preview(),
    Entry::new("Batch", "Batch", [O, O, O, P, O]).on(&[JOBS, WORKLOADS], WORK).preview(),
];
