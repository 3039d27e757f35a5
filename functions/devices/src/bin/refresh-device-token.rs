//! Gives a bound device a new token.

fn main() -> Result<(), capstan_lambda::StartError> {
    capstan_lambda::serve_http(devices::refresh_device_token::handle)
}
