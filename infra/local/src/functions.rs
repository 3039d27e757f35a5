//! The table of functions: each with what its `main` gives it, from the environment that the template gives it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_eventbridge::Client as EventBridge;
use capstan_emulators::template::Template;
use capstan_events::Events;
use capstan_http::Access;
use capstan_lambda::{Clock, event_function, http_function};
use capstan_objects::Objects;
use capstan_store::Store;
use capstan_transcribe::{Http, Providers};
use capstan_transcripts::Transcripts;
use transcription_callback::Desk;

use crate::lambda::{Function, Functions};
use crate::stack::MakeFunctions;

/// Every function of this project, telling the time by `clock`.
#[must_use]
pub fn of_this_project(clock: Clock) -> MakeFunctions {
    Box::new(move |aws, template| make(aws, template, &clock))
}

fn make(aws: &SdkConfig, template: &Template, clock: &Clock) -> Result<Functions, String> {
    let mut functions = Functions::new();
    for definition in &template.functions {
        let name = definition.name.as_str();
        let aws = &capstan_emulators::sdk_config_of(name, aws);
        let on = Environment { function: name, aws, variables: &definition.environment };
        let clock = clock.clone();
        let function = match name {
            "abort-multipart-upload" => {
                http_function((on.access()?, on.objects()?), clock, abort_multipart_upload::handle)
            }
            "bind-device" => http_function(on.access()?, clock, bind_device::handle),
            "complete-multipart-upload" => {
                http_function((on.access()?, on.objects()?, on.events()?), clock, complete_multipart_upload::handle)
            }
            "bind-device-by-serial-number" => http_function(on.access()?, clock, bind_device_by_serial_number::handle),
            "complete-file-upload" => {
                http_function((on.access()?, on.objects()?, on.events()?), clock, complete_file_upload::handle)
            }
            "complete-upload" => {
                http_function((on.access()?, on.objects()?, on.events()?), clock, complete_upload::handle)
            }
            "create-device" => http_function(on.access()?, clock, create_device::handle),
            "create-download-url" => http_function((on.access()?, on.objects()?), clock, create_download_url::handle),
            "create-end-user" => http_function(on.access()?, clock, create_end_user::handle),
            "create-file-upload" => http_function((on.access()?, on.objects()?), clock, create_file_upload::handle),
            "create-recording" => http_function(on.access()?, clock, create_recording::handle),
            "create-transcription" => {
                let providers = on.parsed("TRANSCRIPTION_PROVIDERS")?;
                http_function((on.access()?, on.events()?, providers), clock, create_transcription::handle)
            }
            "create-upload-token" => http_function(on.access()?, clock, create_upload_token::handle),
            "create-upload-url" => http_function((on.access()?, on.objects()?), clock, create_upload_url::handle),
            "delete-end-user" => http_function(on.access()?, clock, delete_end_user::handle),
            "delete-recording" => http_function(on.access()?, clock, delete_recording::handle),
            "export-transcription" => http_function((on.access()?, on.objects()?), clock, export_transcription::handle),
            "get-device" => http_function(on.access()?, clock, get_device::handle),
            "get-end-user" => http_function(on.access()?, clock, get_end_user::handle),
            "get-multipart-upload" => http_function((on.access()?, on.objects()?), clock, get_multipart_upload::handle),
            "get-openapi" => http_function((), clock, get_openapi::handle),
            "get-recording" => http_function(on.access()?, clock, get_recording::handle),
            "get-settings" => http_function(on.access()?, clock, get_settings::handle),
            "get-transcription" => http_function((on.access()?, on.objects()?), clock, get_transcription::handle),
            "list-devices" => http_function(on.access()?, clock, list_devices::handle),
            "list-end-users" => http_function(on.access()?, clock, list_end_users::handle),
            "list-recordings" => http_function(on.access()?, clock, list_recordings::handle),
            "list-transcriptions" => http_function((on.access()?, on.objects()?), clock, list_transcriptions::handle),
            "on-object-created" => event_function(on.all()?, clock, on_object_created::handle),
            "on-transcribe-event" => {
                event_function((on.transcripts()?, on.providers()?), clock, on_transcribe_event::handle)
            }
            "process-recording" => {
                let (store, objects, events) = on.all()?;
                let transcription = on.parsed("TRANSCRIPTION_RENDITION")?;
                event_function((store, objects, events, transcription), clock, process_recording::handle)
            }
            "record-heartbeat" => http_function(on.access()?, clock, record_heartbeat::handle),
            "refresh-device-token" => http_function(on.access()?, clock, refresh_device_token::handle),
            "route-not-found" => http_function((), clock, route_not_found::handle),
            "run-due-work" => event_function(on.all()?, clock, run_due_work::handle),
            "run-transcription" => {
                let dependencies = (on.transcripts()?, on.providers()?, on.variable("API_URL")?);
                event_function(dependencies, clock, run_transcription::handle)
            }
            "save-social-recording" => {
                let buckets = on.parsed("SCOOT_BUCKETS")?;
                http_function(
                    (on.access()?, on.objects()?, on.events()?, buckets),
                    clock,
                    save_social_recording::handle,
                )
            }
            "save-social-transcription" => {
                http_function((on.access()?, on.events()?), clock, save_social_transcription::handle)
            }
            "transcription-callback" => {
                let desk = Desk { transcripts: on.transcripts()?, providers: on.providers()? };
                http_function(desk, clock, transcription_callback::handle)
            }
            "unbind-device" => http_function(on.access()?, clock, unbind_device::handle),
            "unbind-device-by-serial-number" => {
                http_function(on.access()?, clock, unbind_device_by_serial_number::handle)
            }
            "update-device" => http_function(on.access()?, clock, update_device::handle),
            "update-recording" => http_function(on.access()?, clock, update_recording::handle),
            "update-settings" => {
                let providers = on.parsed("TRANSCRIPTION_PROVIDERS")?;
                http_function((on.access()?, providers), clock, update_settings::handle)
            }
            _ => continue,
        };
        functions.insert(name.to_owned(), Function::from(function));
    }
    Ok(functions)
}

impl From<capstan_lambda::Function> for Function {
    fn from(function: capstan_lambda::Function) -> Self {
        Self::new(move |event| {
            let function = function.clone();
            async move { function.invoke(event).await }
        })
    }
}

/// What one function finds around it.
struct Environment<'a> {
    function: &'a str,
    aws: &'a SdkConfig,
    variables: &'a BTreeMap<String, String>,
}

impl Environment<'_> {
    fn variable(&self, name: &str) -> Result<String, String> {
        let value = self.variables.get(name).cloned();
        value.ok_or_else(|| format!("template.yaml gives {} no environment variable {name}", self.function))
    }

    fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, String> {
        self.variable(name)?.parse().map_err(|rule: T::Err| format!("the environment variable {name} {rule}"))
    }

    fn store(&self) -> Result<Store, String> {
        Ok(Store::new(DynamoDb::new(self.aws), self.variable("TABLE_NAME")?))
    }

    fn access(&self) -> Result<Access, String> {
        self.store().map(Access::new)
    }

    fn objects(&self) -> Result<Objects, String> {
        Ok(Objects::new(self.aws, self.variable("MEDIA_BUCKET")?))
    }

    fn events(&self) -> Result<Events, String> {
        Ok(Events::new(EventBridge::new(self.aws), self.variable("EVENT_BUS_NAME")?))
    }

    fn transcripts(&self) -> Result<Transcripts, String> {
        let (store, objects, events) = self.all()?;
        Ok(Transcripts::new(store, objects, events))
    }

    /// Keys come from this process's environment, where a deployment has a secret.
    fn providers(&self) -> Result<Providers, String> {
        let http = Http::new(Duration::from_secs(run_transcription::PATIENCE_SECONDS));
        let variable = |name: &str| self.variables.get(name).cloned();
        Providers::from_variables(&variable, &http, self.aws)
            .map_err(|error| format!("TRANSCRIPTION_PROVIDERS {error}"))
    }

    /// What a function behind the API needs.
    fn all(&self) -> Result<(Store, Objects, Events), String> {
        Ok((self.store()?, self.objects()?, self.events()?))
    }
}
