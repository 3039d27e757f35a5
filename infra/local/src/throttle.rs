//! How much API Gateway takes: a bucket of tokens for each route, out of which each request takes one.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html>

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use capstan_emulators::template::{Throttle, Throttles};

/// The buckets of all routes.
#[derive(Debug)]
pub(crate) struct Buckets {
    throttles: Throttles,
    by_route: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Buckets {
    pub(crate) fn of(throttles: &Throttles) -> Self {
        Self { throttles: throttles.clone(), by_route: Mutex::default() }
    }

    /// Takes a token for a request to a route. `false`: there is none, and the request is one too many.
    pub(crate) fn take(&self, route: &str, now: Instant) -> bool {
        let Some(throttle) = self.throttles.routes.get(route).or(self.throttles.default.as_ref()) else { return true };
        let mut by_route = self.by_route.lock().unwrap_or_else(PoisonError::into_inner);
        match by_route.get_mut(route) {
            Some(bucket) => bucket.take(throttle, now),
            None => {
                let mut full = Bucket { tokens: f64::from(throttle.burst), filled_at: now };
                let taken = full.take(throttle, now);
                by_route.insert(route.to_owned(), full);
                taken
            }
        }
    }
}

impl Bucket {
    fn take(&mut self, throttle: &Throttle, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + seconds * throttle.rate).min(f64::from(throttle.burst));
        self.filled_at = now;
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(buckets: &Buckets, route: &str, now: Instant, asked: usize) -> usize {
        (0..asked).filter(|_| buckets.take(route, now)).count()
    }

    #[test]
    fn a_route_takes_its_burst_at_once_and_then_its_rate_whatever_the_others_take() {
        let throttle = |rate, burst| Throttle { rate, burst };
        let routes = [("GET /a".to_owned(), throttle(2.0, 5))].into();
        let buckets = Buckets::of(&Throttles { default: Some(throttle(10.0, 20)), routes });
        let begin = Instant::now();
        assert_eq!(taken(&buckets, "GET /a", begin, 100), 5);
        assert_eq!(taken(&buckets, "GET /b", begin, 100), 20);
        assert_eq!(taken(&buckets, "GET /c", begin, 100), 20);
        let later = begin + Duration::from_millis(1500);
        assert_eq!(taken(&buckets, "GET /a", later, 100), 3);
        assert_eq!(taken(&buckets, "GET /b", later, 100), 15);
        assert_eq!(taken(&buckets, "GET /a", later + Duration::from_secs(3600), 100), 5, "it never holds more");
    }

    #[test]
    fn without_a_throttle_everything_is_taken() {
        assert_eq!(taken(&Buckets::of(&Throttles::default()), "GET /a", Instant::now(), 10_000), 10_000);
    }
}
