//! Which route of the HTTP API a request takes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use capstan_emulators::template::{Template, Trigger};
use percent_encoding::percent_decode_str;

/// A route and the function behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// `GET` and the like, or `ANY`.
    method: String,
    /// Empty for `$default`.
    segments: Vec<Segment>,
    is_default: bool,
    /// The route as API Gateway names it: `GET /v1/recordings/{id}`, or `$default`.
    pub(crate) key: String,
    pub(crate) function: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Fixed(String),
    Parameter(String),
    /// `{name+}`: all the rest.
    Rest(String),
}

/// All routes, the most specific first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes(Vec<Route>);

impl Routes {
    pub(crate) fn of(template: &Template) -> Self {
        let mut routes = Vec::new();
        for function in &template.functions {
            for trigger in &function.triggers {
                if let Trigger::Http { method, path } = trigger {
                    routes.push(Route::new(method, path, &function.name));
                }
            }
        }
        // As API Gateway chooses: fixed segments before parameters before `{rest+}`, a method before ANY.
        routes.sort_by_key(|route| Reverse(route.specificity()));
        Self(routes)
    }

    /// The route of a request and the values of its path's parameters.
    pub(crate) fn find(&self, method: &str, path: &str) -> Option<(&Route, BTreeMap<String, String>)> {
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        self.0.iter().find_map(|route| {
            let method_fits = route.method == "ANY" || route.method == method;
            let parameters = if method_fits { route.parameters(&segments)? } else { return None };
            Some((route, parameters))
        })
    }
}

impl Route {
    fn new(method: &str, path: &str, function: &str) -> Self {
        let is_default = path == "$default";
        let segment = |text: &str| match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Segment::Rest(name.to_owned()),
                None => Segment::Parameter(name.to_owned()),
            },
            None => Segment::Fixed(text.to_owned()),
        };
        Self {
            method: method.to_owned(),
            segments: if is_default {
                Vec::new()
            } else {
                path.trim_start_matches('/').split('/').map(segment).collect()
            },
            is_default,
            key: if is_default { path.to_owned() } else { format!("{method} {path}") },
            function: function.to_owned(),
        }
    }

    /// Greater is chosen first.
    fn specificity(&self) -> (bool, Vec<u8>, bool) {
        let rank = |segment: &Segment| match segment {
            Segment::Fixed(_) => 2,
            Segment::Parameter(_) => 1,
            Segment::Rest(_) => 0,
        };
        (!self.is_default, self.segments.iter().map(rank).collect(), self.method != "ANY")
    }

    fn parameters(&self, path: &[&str]) -> Option<BTreeMap<String, String>> {
        let mut parameters = BTreeMap::new();
        if self.is_default {
            return Some(parameters);
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        for (index, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Fixed(fixed) => (path.get(index) == Some(&fixed.as_str())).then_some(())?,
                Segment::Parameter(name) => {
                    let value = path.get(index).filter(|value| !value.is_empty())?;
                    parameters.insert(name.clone(), decoded(value));
                }
                Segment::Rest(name) => {
                    let rest = path.get(index..).filter(|rest| !rest.is_empty())?;
                    parameters.insert(name.clone(), decoded(&rest.join("/")));
                    return Some(parameters);
                }
            }
        }
        (path.len() == self.segments.len()).then_some(parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let mut routes: Vec<_> = [
            ("ANY", "$default"),
            ("GET", "/v1/{kind}/{id}"),
            ("ANY", "/v1/recordings/{id}"),
            ("GET", "/v1/recordings/{id}"),
            ("GET", "/v1/recordings/latest"),
            ("GET", "/files/{path+}"),
        ]
        .into_iter()
        .map(|(method, path)| Route::new(method, path, "f"))
        .collect();
        routes.sort_by_key(|route| Reverse(route.specificity()));
        Routes(routes)
    }

    #[test]
    fn the_most_specific_route_wins() {
        let routes = routes();
        for (method, path, key) in [
            ("GET", "/v1/recordings/latest", "GET /v1/recordings/latest"),
            ("GET", "/v1/recordings/rec_1", "GET /v1/recordings/{id}"),
            ("PATCH", "/v1/recordings/rec_1", "ANY /v1/recordings/{id}"),
            ("GET", "/v1/devices/dev_1", "GET /v1/{kind}/{id}"),
            ("PATCH", "/v1/devices/dev_1", "$default"),
            ("GET", "/v1/recordings/rec_1/", "$default"),
            ("GET", "/v1/recordings/", "$default"),
            ("GET", "//v1/recordings/rec_1", "$default"),
            ("GET", "/", "$default"),
            ("GET", "/files/a/b", "GET /files/{path+}"),
        ] {
            assert_eq!(routes.find(method, path).unwrap().0.key, key, "{method} {path}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        let routes = routes();
        assert_eq!(routes.find("GET", "/v1/recordings/a%20b").unwrap().1["id"], "a b");
        assert_eq!(routes.find("GET", "/files/a/b%2Fc").unwrap().1["path"], "a/b/c");
    }

    #[test]
    fn without_a_default_an_unknown_path_has_no_route() {
        let only = Routes(vec![Route::new("GET", "/a", "f")]);
        assert!(only.find("GET", "/b").is_none());
        assert!(only.find("POST", "/a").is_none());
    }
}
