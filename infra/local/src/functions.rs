//! The functions of this project, constructed as their `main` does, each in the environment that the template gives it.

use capstan_aws::Environment;
use capstan_emulators::template::Template;
use capstan_lambda::{Clock, Registration};

use crate::lambda::{Function, Functions};
use crate::stack::MakeFunctions;

/// The functions of every area.
fn registrations() -> impl Iterator<Item = Registration> {
    [
        api::functions(),
        devices::functions(),
        end_users::functions(),
        pipeline::functions(),
        plaud::functions(),
        recordings::functions(),
        scoot::functions(),
        settings::functions(),
        transcriptions::functions(),
        uploads::functions(),
    ]
    .into_iter()
    .flatten()
}

/// Every function of this project that the template has. They take the time from `clock`.
#[must_use]
pub fn of_this_project(clock: Clock) -> MakeFunctions {
    Box::new(move |aws, template| Box::pin(construct(aws, template, clock)))
}

async fn construct(aws: aws_config::SdkConfig, template: Template, clock: Clock) -> Result<Functions, String> {
    let mut functions = Functions::new();
    for registration in registrations() {
        let name = registration.name();
        let Some(definition) = template.functions.iter().find(|definition| definition.name == name) else {
            continue;
        };
        let environment =
            Environment::new(capstan_emulators::sdk_config_of(name, &aws), definition.environment.clone());
        let function = registration.construct(environment, clock.clone()).await;
        let function = function.map_err(|error| format!("{name} cannot start: {error}"))?;
        functions.insert(name.to_owned(), Function::from(function));
    }
    Ok(functions)
}

impl From<capstan_lambda::Function> for Function {
    fn from(function: capstan_lambda::Function) -> Self {
        Self::new(move |event, timeout| {
            let function = function.clone();
            async move { function.invoke_within(event, timeout).await }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use capstan_emulators::template::Template;

    use super::registrations;

    #[test]
    fn registers_every_function_of_the_template() {
        let template = Template::of_this_project().unwrap();
        let in_template: BTreeSet<_> = template.functions.iter().map(|function| function.name.as_str()).collect();
        let registered: Vec<_> = registrations().map(|registration| registration.name()).collect();
        let unique: BTreeSet<_> = registered.iter().copied().collect();
        let missing: Vec<_> = in_template.difference(&unique).collect();
        assert!(missing.is_empty(), "add {missing:?} to `functions` in the lib.rs of its area");
        let unknown: Vec<_> = unique.difference(&in_template).collect();
        assert!(unknown.is_empty(), "add a function with `Binary: <name>` to template.yaml for each of {unknown:?}");
        assert_eq!(registered.len(), unique.len(), "a function is registered twice");
    }
}
