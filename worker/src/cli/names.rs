//! Names on the command line: what no database would hold is refused before it is asked.

use gritstone_store::MAX_NAME;

/// A name of a queue, class or limit: 1 to 255 characters, none of them a control character.
pub(super) fn name(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err("the name is empty".into());
    }
    if length > MAX_NAME {
        return Err(format!("the name has {length} characters; {MAX_NAME} is the most"));
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(format!("the name has the control character {control:?}"));
    }
    Ok(text.to_owned())
}
