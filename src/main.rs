//! The operator's binary.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (name, crd) in lockbox::api::schema::definitions() {
        std::fs::write(format!("crds/{name}"), serde_yaml_ng::to_string(&crd)?)?;
        std::fs::write(format!("charts/lockbox/crds/{name}"), serde_yaml_ng::to_string(&crd)?)?;
    }
    Ok(())
}
