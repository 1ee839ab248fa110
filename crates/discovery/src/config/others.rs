//! Discoveries that skep does not have, judged as Prometheus 3.5 judges them: each is a function over the keys of one entry.
//!
//! OCI and Outscale came after 3.5. Azure, Consul, Kuma, Nomad, OpenStack and STACKIT are judged by what the documentation of Prometheus says of their keys,
//! all others by what `promtool` was seen to accept and refuse.

use client::config::{HttpConfig, TlsConfig};
use client::decode::url;
use yaml::Shape::{Duration, Flag, Integer, Text, TextMap, Texts};
use yaml::{Place, Section, Shape};

use super::kubernetes;

/// Judges the keys of one entry.
pub(super) type Judge = fn(&Section<'_>);

/// Keys of scrape jobs, each with what judges an entry.
pub(super) const ALL: &[(&str, Judge)] = &[
    ("azure_sd_configs", azure),
    ("consul_sd_configs", consul),
    ("digitalocean_sd_configs", |s| simple(s, &[])),
    ("docker_sd_configs", docker),
    ("dockerswarm_sd_configs", docker_swarm),
    ("ec2_sd_configs", ec2),
    ("eureka_sd_configs", eureka),
    ("gce_sd_configs", gce),
    ("hetzner_sd_configs", hetzner),
    ("ionos_sd_configs", ionos),
    ("kubernetes_sd_configs", kubernetes::judge),
    ("kuma_sd_configs", kuma),
    ("lightsail_sd_configs", |s| simple(s, AWS)),
    ("linode_sd_configs", |s| simple(s, &[("region", Text), ("tag_separator", Text)])),
    ("marathon_sd_configs", marathon),
    ("nerve_sd_configs", zookeeper),
    ("nomad_sd_configs", nomad),
    ("oci_sd_configs", oci),
    ("openstack_sd_configs", openstack),
    ("outscale_sd_configs", outscale),
    ("ovhcloud_sd_configs", ovhcloud),
    ("puppetdb_sd_configs", puppetdb),
    ("scaleway_sd_configs", scaleway),
    ("serverset_sd_configs", zookeeper),
    ("stackit_sd_configs", stackit),
    ("triton_sd_configs", triton),
    ("uyuni_sd_configs", uyuni),
    ("vultr_sd_configs", |s| simple(s, &[])),
];

type Keys = [(&'static str, Shape)];

const AWS: &Keys = &[
    ("access_key", Text),
    ("endpoint", Text),
    ("profile", Text),
    ("region", Text),
    ("role_arn", Text),
    ("secret_key", Text),
];

/// Oracle's cloud, which Prometheus finds targets in after 3.5.
fn oci(section: &Section<'_>) {
    simple(section, &[]);
    let keys = ["compartments", "fingerprint", "key_file", "key_passphrase", "region", "tenancy", "user"];
    // What they must be is not known to 3.5, and nothing here depends on it.
    keys.iter().for_each(|key| drop(section.get(key)));
}

/// Outscale's cloud, which Prometheus finds targets in after 3.5.
fn outscale(section: &Section<'_>) {
    simple(section, &[("region", Text), ("access_key", Text), ("secret_key", Text), ("endpoint", Text)]);
    if text(section, "region").is_empty() {
        section.place().error("outscale SD configuration requires a region", "add region");
    }
}

/// A discovery over HTTP with a port for what it finds.
fn simple(section: &Section<'_>, keys: &Keys) {
    section.judge(&[("port", Integer), ("refresh_interval", Duration)]);
    section.judge(keys);
    HttpConfig::decode(section);
}

/// The text of a key, empty where there is none.
fn text(section: &Section<'_>, key: &'static str) -> String {
    section.get(key).and_then(|place| place.node().as_text().map(str::to_owned)).unwrap_or_default()
}

/// A key that must have a text; `what` is the error where it has none.
fn required(section: &Section<'_>, key: &'static str, what: &str) {
    if text(section, key).is_empty() {
        section.place().error(what, format!("add {key}"));
    }
}

/// A key whose text must be one of some words.
pub(super) fn one_of(section: &Section<'_>, key: &'static str, words: &[&str]) {
    match section.get(key).filter(|place| !place.node().is_null()) {
        None => section.place().error(format!("{key} missing (one of: {})", words.join(", ")), format!("add {key}")),
        Some(place) => {
            let word = place.string().unwrap_or_default();
            if !words.contains(&&*word) {
                place.error(format!("unknown {key} {word:?}"), format!("one of: {}", words.join(", ")));
            }
        }
    }
}

/// A URL that must have a scheme of HTTP and a host.
fn service_url(section: &Section<'_>, key: &'static str) {
    match section.get(key).filter(|place| place.node().as_text().is_none_or(|text| !text.is_empty())) {
        Some(place) => drop(url::decode_http(&place)),
        None => section.place().error("URL is missing", format!("add {key}")),
    }
}

/// Filters of a name and values.
fn filters<'a>(section: &Section<'a>) -> Vec<Place<'a>> {
    let filters = section.list("filters");
    for filter in filters.iter().filter_map(Place::section) {
        filter.judge(&[("name", Text), ("values", Texts)]);
        filter.finish();
    }
    filters
}

fn azure(section: &Section<'_>) {
    simple(
        section,
        &[
            ("environment", Text),
            ("authentication_method", Text),
            ("subscription_id", Text),
            ("tenant_id", Text),
            ("client_id", Text),
            ("client_secret", Text),
            ("resource_group", Text),
        ],
    );
    required(section, "subscription_id", "azure SD configuration requires a subscription_id");
    match &*text(section, "authentication_method") {
        "" | "OAuth" if section.get("authentication_method").is_none_or(|place| !place.node().is_null()) => {
            for key in ["tenant_id", "client_id", "client_secret"] {
                required(section, key, &format!("azure SD configuration requires a {key}"));
            }
        }
        "ManagedIdentity" | "SDK" => {}
        other => section.place().error(
            format!(
                "unknown authentication_type {other:?}. Supported types are \"OAuth\", \"ManagedIdentity\" or \"SDK\""
            ),
            "",
        ),
    }
}

fn consul(section: &Section<'_>) {
    section.judge(&[
        ("server", Text),
        ("path_prefix", Text),
        ("token", Text),
        ("datacenter", Text),
        ("namespace", Text),
        ("partition", Text),
        ("tag_separator", Text),
        ("scheme", Text),
        ("username", Text),
        ("password", Text),
        ("allow_stale", Flag),
        ("refresh_interval", Duration),
        ("services", Texts),
        ("tags", Texts),
        ("node_meta", TextMap),
        ("filter", Text),
        ("health_filter", Text),
    ]);
    HttpConfig::decode(section);
    if section.get("server").is_some_and(|place| place.node().as_text().unwrap_or_default().is_empty()) {
        section.place().error("consul SD configuration requires a server address", "add server");
    }
    let login = !text(section, "username").is_empty() || !text(section, "password").is_empty();
    let given = |key| section.get(key).is_some_and(|place| !place.node().is_null());
    if login && given("basic_auth") {
        section
            .place()
            .error("at most one of consul SD configuration username and password and basic auth can be configured", "");
    }
    if !text(section, "token").is_empty() && (given("authorization") || given("oauth2")) {
        section.place().error("at most one of consul SD token, authorization, or oauth2 can be configured", "");
    }
}

fn docker(section: &Section<'_>) {
    simple(section, &[("host", Text), ("host_networking_host", Text), ("match_first_network", Flag)]);
    filters(section);
    docker_host(section);
}

fn docker_swarm(section: &Section<'_>) {
    simple(section, &[("host", Text)]);
    filters(section);
    docker_host(section);
    one_of(section, "role", &["tasks", "services", "nodes"]);
}

fn docker_host(section: &Section<'_>) {
    required(section, "host", "host missing");
    if let Some(place) = section.get("host") {
        url::decode(&place);
    }
}

fn ec2(section: &Section<'_>) {
    simple(section, AWS);
    for place in filters(section) {
        let values = place.section().map(|filter| filter.list("values").len()).unwrap_or_default();
        if values == 0 {
            place.error("EC2 SD configuration filter values cannot be empty", "add values");
        }
    }
}

fn eureka(section: &Section<'_>) {
    section.judge(&[("refresh_interval", Duration)]);
    HttpConfig::decode(section);
    required(section, "server", "eureka_sd: empty or null eureka server");
    if let Some(place) = section.get("server").filter(|place| place.node().as_text() != Some(""))
        && let Some(url) = url::decode(&place)
        && (url.scheme.is_empty() || url.host.is_empty())
    {
        place.error("eureka_sd: invalid eureka server URL", "write http://HOST:PORT/eureka");
    }
}

fn gce(section: &Section<'_>) {
    section.judge(&[
        ("project", Text),
        ("zone", Text),
        ("filter", Text),
        ("refresh_interval", Duration),
        ("port", Integer),
        ("tag_separator", Text),
    ]);
    required(section, "project", "GCE SD configuration requires a project");
    required(section, "zone", "GCE SD configuration requires a zone");
}

fn hetzner(section: &Section<'_>) {
    simple(section, &[("label_selector", Text)]);
    one_of(section, "role", &["robot", "hcloud"]);
}

fn ionos(section: &Section<'_>) {
    simple(section, &[("datacenter_id", Text)]);
    required(section, "datacenter_id", "datacenter id can't be empty");
}

fn kuma(section: &Section<'_>) {
    section.judge(&[("client_id", Text), ("refresh_interval", Duration), ("fetch_timeout", Duration)]);
    HttpConfig::decode(section);
    required(section, "server", "kuma SD server must not be empty");
    if let Some(place) = section.get("server") {
        url::decode(&place);
    }
}

fn marathon(section: &Section<'_>) {
    section.judge(&[
        ("servers", Texts),
        ("refresh_interval", Duration),
        ("auth_token", Text),
        ("auth_token_file", Text),
    ]);
    HttpConfig::decode(section);
    if section.list("servers").is_empty() {
        section.place().error("marathon_sd: must contain at least one Marathon server", "add servers");
    }
    let full = |key| !text(section, key).is_empty();
    let given = |key| section.get(key).is_some_and(|place| !place.node().is_null());
    let tokens = [full("auth_token"), full("auth_token_file")];
    let others = [given("basic_auth"), given("authorization"), full("bearer_token"), full("bearer_token_file")];
    if tokens == [true, true] || (tokens.contains(&true) && others.contains(&true)) {
        let message = "marathon_sd: at most one of auth_token, auth_token_file, basic_auth, authorization, bearer_token & bearer_token_file must be configured";
        section.place().error(message, "keep one of them");
    }
}

/// Nerve and serversets.
fn zookeeper(section: &Section<'_>) {
    section.judge(&[("timeout", Duration), ("servers", Texts), ("paths", Texts)]);
    if section.list("servers").is_empty() {
        section.place().error("the SD config must contain at least one Zookeeper server", "add servers");
    }
    if section.list("paths").is_empty() {
        section.place().error("the SD config must contain at least one path", "add paths");
    }
    for path in section.list("paths") {
        if !path.node().as_text().unwrap_or_default().starts_with('/') {
            path.error("SD config paths must begin with '/'", "");
        }
    }
}

fn nomad(section: &Section<'_>) {
    section.judge(&[
        ("allow_stale", Flag),
        ("namespace", Text),
        ("refresh_interval", Duration),
        ("region", Text),
        ("server", Text),
        ("tag_separator", Text),
    ]);
    HttpConfig::decode(section);
    if section.get("server").is_some() {
        required(section, "server", "nomad SD configuration requires a server address");
    }
}

fn openstack(section: &Section<'_>) {
    section.judge(&[
        ("identity_endpoint", Text),
        ("username", Text),
        ("userid", Text),
        ("password", Text),
        ("project_name", Text),
        ("project_id", Text),
        ("domain_name", Text),
        ("domain_id", Text),
        ("application_credential_name", Text),
        ("application_credential_id", Text),
        ("application_credential_secret", Text),
        ("region", Text),
        ("refresh_interval", Duration),
        ("port", Integer),
        ("all_tenants", Flag),
    ]);
    tls(section);
    if section.get("availability").is_some_and(|place| !place.node().is_null()) {
        one_of(section, "availability", &["public", "internal", "admin"]);
    }
    one_of(section, "role", &["instance", "hypervisor", "loadbalancer"]);
    required(section, "region", "openstack SD configuration requires a region");
}

fn ovhcloud(section: &Section<'_>) {
    section.judge(&[
        ("application_key", Text),
        ("application_secret", Text),
        ("consumer_key", Text),
        ("endpoint", Text),
        ("refresh_interval", Duration),
    ]);
    if section.get("endpoint").is_some() {
        required(section, "endpoint", "endpoint can not be empty");
    }
    required(section, "application_key", "application key can not be empty");
    required(section, "application_secret", "application secret can not be empty");
    required(section, "consumer_key", "consumer key can not be empty");
    one_of(section, "service", &["vps", "dedicated_server"]);
}

fn puppetdb(section: &Section<'_>) {
    simple(section, &[("query", Text), ("include_parameters", Flag)]);
    service_url(section, "url");
    required(section, "query", "query missing");
}

fn scaleway(section: &Section<'_>) {
    simple(
        section,
        &[
            ("access_key", Text),
            ("api_url", Text),
            ("name_filter", Text),
            ("project_id", Text),
            ("secret_key", Text),
            ("secret_key_file", Text),
            ("tags_filter", Texts),
            ("zone", Text),
        ],
    );
    one_of(section, "role", &["instance", "baremetal"]);
    required(section, "project_id", "project_id is mandatory");
    required(section, "access_key", "access_key is mandatory");
    let secrets = ["secret_key", "secret_key_file"].iter().filter(|key| !text(section, key).is_empty());
    match secrets.count() {
        0 => section.place().error("one of secret_key & secret_key_file must be configured", "add secret_key_file"),
        1 => {}
        _ => section.place().error("at most one of secret_key & secret_key_file must be configured", ""),
    }
    if section.get("zone").is_some() {
        required(section, "zone", "the zone cannot be empty");
    }
    let key = text(section, "access_key");
    let well_formed = key.strip_prefix("SCW").is_some_and(|rest| {
        rest.len() == 17 && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    });
    if !key.is_empty() && !well_formed {
        section.place().error("invalid access key format", "it has the form SCWXXXXXXXXXXXXXXXXX");
    }
    if let Some(place) = section.get("api_url").filter(|place| !place.node().is_null())
        && !matches!(url::decode(&place), Some(url) if matches!(&*url.scheme, "http" | "https") && !url.host.is_empty())
    {
        place.error("not the URL of an API", "write https://HOST");
    }
}

fn stackit(section: &Section<'_>) {
    simple(
        section,
        &[
            ("project", Text),
            ("endpoint", Text),
            ("region", Text),
            ("service_account_key", Text),
            ("service_account_key_path", Text),
            ("private_key", Text),
            ("private_key_path", Text),
            ("credentials_file_path", Text),
        ],
    );
    required(section, "project", "the SD configuration requires a project");
}

fn tls(section: &Section<'_>) {
    if let Some(place) = section.get("tls_config") {
        TlsConfig::decode(&place);
    }
}

fn triton(section: &Section<'_>) {
    section.judge(&[
        ("account", Text),
        ("dns_suffix", Text),
        ("endpoint", Text),
        ("groups", Texts),
        ("port", Integer),
        ("refresh_interval", Duration),
        ("version", Integer),
    ]);
    tls(section);
    if section.get("role").is_some_and(|place| !place.node().is_null()) {
        one_of(section, "role", &["container", "cn"]);
    }
    required(section, "account", "triton SD configuration requires an account");
    required(section, "dns_suffix", "triton SD configuration requires a dns_suffix");
    required(section, "endpoint", "triton SD configuration requires an endpoint");
    let zero = |place: &Place<'_>| place.node().is_null() || place.duration().is_some_and(|d| d.is_zero());
    if section.get("refresh_interval").is_some_and(|place| zero(&place)) {
        section.place().error("triton SD configuration requires RefreshInterval to be a positive integer", "");
    }
}

fn uyuni(section: &Section<'_>) {
    section.judge(&[
        ("username", Text),
        ("password", Text),
        ("entitlement", Text),
        ("separator", Text),
        ("refresh_interval", Duration),
    ]);
    HttpConfig::decode(section);
    required(section, "server", "Uyuni SD configuration requires server host");
    required(section, "username", "Uyuni SD configuration requires a username");
    required(section, "password", "Uyuni SD configuration requires a password");
    if let Some(place) = section.get("server") {
        url::decode(&place);
    }
}
