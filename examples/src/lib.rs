//! What the examples share: a model from the command line.

use llm_infer::device::{self, DeviceChoice};
use llm_infer::{Model, ModelOptions, Result};

/// The first argument that is no flag: a model folder; without one the embedded model.
pub fn model_argument() -> String {
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--device" => drop(arguments.next()),
            _ => return argument,
        }
    }
    "builtin".to_owned()
}

/// The device after `--device`, or the best there is.
///
/// # Errors
/// A name that is no device.
pub fn device_argument() -> Result<DeviceChoice> {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == "--device");
    at.and_then(|at| arguments.get(at + 1)).map_or(Ok(DeviceChoice::Auto), |name| name.parse())
}

/// Loads the model that the arguments name on the device that they name.
///
/// # Errors
/// Whatever is wrong with either.
pub fn load() -> Result<Model> {
    Model::load(&model_argument(), &ModelOptions::new(device::open(device_argument()?)?))
}

/// Prints an error and its hint, and ends the program as the command line does.
pub fn report(result: Result<()>) {
    if let Err(error) = result {
        eprintln!("error: {error}");
        if let Some(hint) = error.hint() {
            eprintln!("\nhint: {hint}");
        }
        std::process::exit(1);
    }
}
