//! What happens without a caller: S3 notifications, rules on the event bus and the schedule, as the template has them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use capstan_emulators::template::{Template, Trigger};
use capstan_emulators::{ACCOUNT, BusEvent, Emulators, REGION};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::lambda::{InvocationError, Lambda};
use crate::pattern;

/// One event on its way to one function.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The function's name.
    pub function: String,
    /// What it is invoked with.
    pub event: Value,
}

/// Brings events to the functions that they trigger.
#[derive(Debug)]
pub struct Bus {
    emulators: Arc<Emulators>,
    lambda: Arc<Lambda>,
    triggers: Vec<(String, Trigger)>,
    /// `Some` while deliveries are held back.
    held: Mutex<Option<Vec<Delivery>>>,
    /// How many events of the emulators were brought to their functions, or held.
    dispatched: AtomicU64,
}

impl Bus {
    /// The triggers of `template`.
    ///
    /// # Errors
    /// When a rule's pattern uses something that is not understood here.
    pub fn new(template: &Template, emulators: Arc<Emulators>, lambda: Arc<Lambda>) -> Result<Self, String> {
        let mut triggers = Vec::new();
        for function in &template.functions {
            for trigger in &function.triggers {
                if let Trigger::Event { pattern, .. } = trigger {
                    pattern::check(pattern).map_err(|error| format!("a rule of {}: {error}", function.logical_id))?;
                }
                triggers.push((function.name.clone(), trigger.clone()));
            }
        }
        Ok(Self { emulators, lambda, triggers, held: Mutex::new(None), dispatched: AtomicU64::new(0) })
    }

    fn held(&self) -> MutexGuard<'_, Option<Vec<Delivery>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on events wait for [`Bus::take_held`] instead of being delivered.
    pub fn hold(&self) {
        self.held().get_or_insert_default();
    }

    /// From now on events are delivered as they come. What was held stays undelivered.
    pub fn stop_holding(&self) -> Vec<Delivery> {
        self.held().take().unwrap_or_default()
    }

    /// What was held since the last time.
    pub fn take_held(&self) -> Vec<Delivery> {
        self.held().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Delivers once, now, and waits for the function.
    ///
    /// # Errors
    /// [`InvocationError`] when the function failed; nothing repeats it.
    pub async fn deliver(&self, delivery: &Delivery) -> Result<Value, InvocationError> {
        self.lambda.invoke(&delivery.function, delivery.event.clone()).await
    }

    /// Waits until every event has been delivered (or is held) and every function is done.
    pub async fn settle(&self) {
        loop {
            let sent = self.emulators.sent();
            let quiet = || self.dispatched.load(Ordering::SeqCst) == sent && self.lambda.in_flight() == 0;
            if quiet() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Delivers until the emulators end.
    pub(crate) async fn run(&self) {
        loop {
            let deliveries = tokio::select! {
                Some(notification) = self.emulators.next_object_created() => self.of_notification(&notification),
                Some(event) = self.emulators.next_event() => self.of_event(&event),
                else => return,
            };
            for delivery in deliveries {
                match &mut *self.held() {
                    Some(held) => held.push(delivery),
                    None => self.lambda.invoke_async(delivery.function, delivery.event),
                }
            }
            self.dispatched.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Invokes every scheduled function at once, and then at its rate.
    pub(crate) async fn run_schedules(&self) {
        let clocks = self.scheduled().map(|(name, every)| async move {
            let mut ticks = tokio::time::interval(every);
            loop {
                ticks.tick().await;
                self.lambda.invoke_async(name.to_owned(), scheduled_event());
            }
        });
        futures_util::future::join_all(clocks).await;
    }

    /// Invokes every scheduled function once and waits for it.
    ///
    /// # Errors
    /// The first [`InvocationError`].
    pub async fn tick(&self) -> Result<(), InvocationError> {
        for (name, _) in self.scheduled() {
            self.lambda.invoke(name, scheduled_event()).await?;
        }
        Ok(())
    }

    fn scheduled(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.triggers.iter().filter_map(|(name, trigger)| {
            let Trigger::Schedule { every } = trigger else { return None };
            self.lambda.has(name).then_some((name.as_str(), *every))
        })
    }

    fn of_event(&self, put: &BusEvent) -> Vec<Delivery> {
        self.deliveries(&put.event, |trigger| {
            let Trigger::Event { bus, pattern } = trigger else { return false };
            *bus == put.bus && pattern::matches(pattern, &put.event)
        })
    }

    fn of_notification(&self, notification: &Value) -> Vec<Delivery> {
        let s3 = &notification["Records"][0]["s3"];
        let name = s3["bucket"]["name"].as_str().unwrap_or_default();
        let encoded = s3["object"]["key"].as_str().unwrap_or_default().replace('+', " ");
        let key = percent_decode_str(&encoded).decode_utf8_lossy();
        self.deliveries(notification, |trigger| {
            let Trigger::ObjectCreated { bucket, prefix, suffix } = trigger else { return false };
            bucket == name && key.starts_with(prefix) && key.ends_with(suffix)
        })
    }

    fn deliveries(&self, event: &Value, fires: impl Fn(&Trigger) -> bool) -> Vec<Delivery> {
        self.triggers
            .iter()
            .filter(|(_, trigger)| fires(trigger))
            .map(|(function, _)| Delivery { function: function.clone(), event: event.clone() })
            .collect()
    }
}

fn scheduled_event() -> Value {
    json!({
        "version": "0",
        "id": uuid::Uuid::new_v4().to_string(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": REGION,
        "resources": [format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/schedule")],
        "detail": {},
    })
}
