//! Writes the CustomResourceDefinitions to a folder, `crds/` unless one is named:
//! `cargo run -p gritstone-crds --features kube --bin crdgen`

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use gritstone_crds::schema::definitions;

fn main() -> Result<(), Box<dyn Error>> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = env::args_os().nth(1).map_or_else(|| own.to_owned(), PathBuf::from);
    for definition in definitions() {
        let file = folder.join(&definition.file);
        fs::write(&file, definition.to_yaml()?).map_err(|error| format!("can't write {}: {error}", file.display()))?;
        println!("{}", file.display());
    }
    Ok(())
}
