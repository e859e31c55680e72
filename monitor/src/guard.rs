//! Who may ask: the host that a browser meant, the page that it came from, and the token where there is one.
//!
//! ```text
//! Host      a name that is not ours ─> 421     DNS rebinding: a foreign page reaches us under its own name
//! Origin    not the same as Host ────> 403     a foreign page asks through the visitor's browser
//! token     none, or another one ────> 401     bearer for programs, a cookie (by /login?token=…) for browsers
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use http::Problem;
use sha2::{Digest, Sha256};
use warp::http::header::{HeaderValue, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use warp::http::{HeaderMap, StatusCode, Uri};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply, reject};

const COOKIE: &str = "millrace_monitor";
/// What a token must have at least: a guess each millisecond takes longer than the universe is old.
pub const TOKEN_LENGTH: usize = 16;
/// Of the cookie, in seconds: 30 days.
const COOKIE_AGE: u32 = 30 * 24 * 60 * 60;
/// Routes that orchestrators ask and that tell nothing but "alive" and "ready".
const OPEN: [&str; 3] = ["/livez", "/readyz", "/login"];

/// What is demanded of a request.
#[derive(Clone, Debug)]
pub struct Policy {
    /// SHA-256 of the token; comparing digests takes the same time wherever they differ.
    token: Option<[u8; 32]>,
    /// Names that we may be asked under besides `localhost`, in lower case.
    hosts: Vec<String>,
}

impl Policy {
    /// `hosts` are names without a port.
    pub fn new(token: Option<&str>, hosts: &[String]) -> Self {
        Self { token: token.map(digest), hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect() }
    }

    /// What there is against a request.
    fn objection(&self, path: &str, headers: &HeaderMap) -> Option<Problem> {
        let host = text(headers, "host");
        if !host.is_some_and(|host| self.is_ours(name_of(host))) {
            return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST).detail(format!(
                "Host: {} is no name of this monitor; MONITORING_ALLOWED_HOSTS adds one",
                host.unwrap_or("(none)")
            )));
        }
        if let Some(origin) = text(headers, "origin") {
            let from = origin.parse::<Uri>().ok().and_then(|uri| uri.authority().map(|a| a.as_str().to_owned()));
            if from.as_deref() != host {
                let detail = "Origin: a page of another site may not ask this monitor";
                return Some(Problem::new(StatusCode::FORBIDDEN).detail(detail));
            }
        }
        if self.token.is_none() || OPEN.contains(&path) || self.has_token(headers) {
            return None;
        }
        Some(
            Problem::new(StatusCode::UNAUTHORIZED)
                .detail("Authorization: Bearer TOKEN is needed; a browser logs in at /login?token=TOKEN")
                .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"millrace\"")),
        )
    }

    /// An address cannot be rebound, a name can.
    fn is_ours(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || bare.parse::<IpAddr>().is_ok() || self.hosts.contains(&name)
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let bearer = text(headers, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        if bearer.is_some_and(|token| self.token == Some(digest(token.trim()))) {
            return true;
        }
        let cookies = headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
        let pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let expected = self.token.as_ref().map(|token| digest(&cookie_value(token)));
        pairs.filter(|(name, _)| *name == COOKIE).any(|(_, value)| expected == Some(digest(value)))
    }

    /// `GET /login?token=…`: a cookie, and on to the page.
    fn login(&self, token: Option<&str>) -> Response {
        let Some(expected) = self.token else { return on_to_the_page(None) };
        if token.map(digest) != Some(expected) {
            return Problem::new(StatusCode::UNAUTHORIZED)
                .detail("token: not the one that this monitor was started with")
                .into_response();
        }
        let value = cookie_value(&expected);
        let cookie = format!("{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={COOKIE_AGE}");
        on_to_the_page(HeaderValue::from_str(&cookie).ok())
    }
}

/// Lets a request pass that the policy has nothing against. To be put before all routes.
pub fn guard(policy: Arc<Policy>) -> impl Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::path::full()
        .and(warp::header::headers_cloned())
        .and_then(move |path: FullPath, headers: HeaderMap| {
            let objection = policy.objection(path.as_str(), &headers);
            async move { objection.map_or(Ok(()), |problem| Err(reject::custom(problem))) }
        })
        .untuple_one()
}

/// `GET /login?token=…`.
pub fn login(
    policy: Arc<Policy>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let query = warp::query::<std::collections::HashMap<String, String>>();
    warp::path!("login").and(http::read_only()).and(query).map(
        move |query: std::collections::HashMap<String, String>| policy.login(query.get("token").map(String::as_str)),
    )
}

fn on_to_the_page(cookie: Option<HeaderValue>) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
    if let Some(cookie) = cookie {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// Not the token itself: who reads the cookie can look at the page, and no more.
fn cookie_value(token: &[u8; 32]) -> String {
    let digest = Sha256::new().chain_update(token).chain_update(b"cookie").finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `host:port` without its port; an IPv6 address keeps its brackets.
fn name_of(host: &str) -> &str {
    if host.starts_with('[') {
        return host.split_inclusive(']').next().unwrap_or(host);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "a token of some length";

    fn asked(policy: &Policy, path: &str, headers: &[(&'static str, &str)]) -> u16 {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).parse().expect("a name"), HeaderValue::from_str(value).expect("a value")));
        let objection = policy.objection(path, &headers.collect());
        objection.map_or(200, |problem| problem.into_response().status().as_u16())
    }

    #[test]
    fn only_names_of_ours_are_answered() {
        let policy = Policy::new(None, &["Monitor.example".into()]);
        for host in ["localhost:5000", "LOCALHOST", "127.0.0.1:5000", "[::1]:5000", "10.0.0.1", "monitor.example:80"] {
            assert_eq!(asked(&policy, "/", &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:5000", "127.0.0.1.evil.example", "monitor.example.", ""] {
            assert_eq!(asked(&policy, "/", &[("host", host)]), 421, "{host}");
        }
        assert_eq!(asked(&policy, "/", &[]), 421);
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let policy = Policy::new(None, &[]);
        let from = |origin| asked(&policy, "/api/system-status", &[("host", "localhost:5000"), ("origin", origin)]);
        assert_eq!(from("http://localhost:5000"), 200);
        for origin in ["http://localhost:5001", "http://evil.example", "null", "", "http://127.0.0.1:5000"] {
            assert_eq!(from(origin), 403, "{origin}");
        }
    }

    #[test]
    fn a_token_is_demanded_of_everything_but_the_probes() {
        let policy = Policy::new(Some(TOKEN), &[]);
        let with = |path, name, value: &str| asked(&policy, path, &[("host", "10.0.0.1:5000"), (name, value)]);
        assert_eq!(with("/", "x", ""), 401);
        assert_eq!(with("/metrics", "x", ""), 401);
        assert_eq!(with("/livez", "x", ""), 200);
        assert_eq!(with("/", "authorization", &format!("Bearer {TOKEN}")), 200);
        assert_eq!(with("/", "authorization", "Bearer another token at all"), 401);
        assert_eq!(with("/", "authorization", TOKEN), 401);
        assert_eq!(with("/", "cookie", &format!("{COOKIE}={TOKEN}")), 401);
    }

    #[test]
    fn a_login_gives_a_cookie_that_is_not_the_token() {
        let policy = Policy::new(Some(TOKEN), &[]);
        assert_eq!(policy.login(None).status(), 401);
        assert_eq!(policy.login(Some("another")).status(), 401);
        let answer = policy.login(Some(TOKEN));
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()[SET_COOKIE].to_str().expect("text");
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(TOKEN),
            "{cookie}"
        );
        let pair = cookie.split(';').next().expect("a pair");
        let headers = [("host", "localhost"), ("cookie", &*format!("other=1; {pair}"))];
        assert_eq!(asked(&policy, "/", &headers), 200);
    }
}
