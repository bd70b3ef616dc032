//! The proxy between this machine and the store, as the environment names it.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

/// A variable of the environment names a proxy that cannot be used. Its text is not shown, because it may contain a
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {variable} names no proxy that can be used: {problem}")]
pub struct UnusableProxy {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with its text.
    pub problem: &'static str,
}

/// A proxy on the way to the store.
#[derive(Debug)]
pub(super) struct Proxy {
    /// The variable that names it.
    pub(super) variable: &'static str,
    /// Its address, which may have a password.
    pub(super) url: Url,
}

impl Proxy {
    /// Reads which proxy the environment names for this store. curl reads the same variables.
    ///
    /// # Errors
    /// The variable names no usable proxy. To ignore it would send the token on a way that was not asked for.
    pub(super) fn of_environment(
        store: &Url,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, UnusableProxy> {
        let groups: [&[&'static str]; 2] = match store.scheme() {
            "https" => [&["HTTPS_PROXY", "https_proxy"], &["ALL_PROXY", "all_proxy"]],
            _ => [&["HTTP_PROXY", "http_proxy"], &["ALL_PROXY", "all_proxy"]],
        };
        let first = |names: &[&'static str]| {
            let set = names.iter().find_map(|name| Some((*name, environment(name)?)));
            set.filter(|(_, text)| !text.trim().is_empty())
        };
        let exceptions = environment("NO_PROXY").or_else(|| environment("no_proxy")).unwrap_or_default();
        let Some((variable, text)) = groups.into_iter().find_map(first) else { return Ok(None) };
        if is_exception(store, exceptions) {
            return Ok(None);
        }
        let unusable = |problem| UnusableProxy { variable, problem };
        let text = if text.contains("://") { text } else { format!("http://{text}") };
        let url = Url::parse(text.trim()).map_err(|_| unusable("it is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(unusable("it does not begin with http:// or https:// and a host"));
        }
        Ok(Some(Self { variable, url }))
    }

    /// The client's setting for this proxy.
    ///
    /// # Errors
    /// Its address cannot be used.
    pub(super) fn for_all(&self) -> Result<reqwest::Proxy, UnusableProxy> {
        reqwest::Proxy::all(self.url.clone()).map_err(|_| UnusableProxy {
            variable: self.variable,
            problem: "it cannot be the address of a proxy",
        })
    }

    /// Host and port, for a person.
    pub(super) fn place(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{host}:{port}")
    }
}

/// Whether the list of exceptions has the store's host.
fn is_exception(store: &Url, exceptions: String) -> bool {
    let matcher = Matcher::builder().all("http://proxy.invalid").no(exceptions).build();
    store.as_str().parse().is_ok_and(|uri| matcher.intercept(&uri).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let store = Url::parse("https://api.bigcommerce.com/stores/x").expect("a URL");
        let environment = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        match Proxy::of_environment(&store, &environment) {
            Ok(found) => Ok(found.map(|proxy| format!("{} {}", proxy.variable, proxy.place()))),
            Err(error) => Err(error.to_string()),
        }
    }

    fn found(text: &str) -> Result<Option<String>, String> {
        Ok(Some(text.to_owned()))
    }

    #[test]
    fn the_variables_are_those_of_curl() {
        assert_eq!(proxy(&[]), Ok(None));
        assert_eq!(proxy(&[("HTTP_PROXY", "http://a:1")]), Ok(None));
        assert_eq!(proxy(&[("HTTPS_PROXY", ""), ("ALL_PROXY", " ")]), Ok(None));
        assert_eq!(
            proxy(&[("https_proxy", "http://a:1"), ("ALL_PROXY", "http://b:2")]),
            found("https_proxy a:1")
        );
        assert_eq!(proxy(&[("HTTPS_PROXY", ""), ("all_proxy", "http://b")]), found("all_proxy b:80"));
        assert_eq!(proxy(&[("HTTPS_PROXY", "a:3128")]), found("HTTPS_PROXY a:3128"));
        assert_eq!(
            proxy(&[("HTTPS_PROXY", "http://me:secret@[::1]:3128/")]),
            found("HTTPS_PROXY [::1]:3128")
        );
    }

    #[test]
    fn no_proxy_names_hosts_that_are_reached_directly() {
        let with = |exceptions| proxy(&[("HTTPS_PROXY", "no proxy"), ("NO_PROXY", exceptions)]);
        for exceptions in ["*", "api.bigcommerce.com", "localhost, .bigcommerce.com", "bigcommerce.com"] {
            assert_eq!(with(exceptions), Ok(None), "{exceptions}");
        }
        assert!(with("example.com").is_err());
    }

    #[test]
    fn promise_11_an_unusable_variable_is_named_without_its_text() {
        for text in
            ["http://me:secret@", "me:secret@a b", "socks5://me:secret@a:1", "http://a:secret", "secret://a"]
        {
            let error = proxy(&[("HTTPS_PROXY", text)]).expect_err(text);
            assert!(error.contains("HTTPS_PROXY") && !error.contains("secret"), "{error}");
        }
    }
}
