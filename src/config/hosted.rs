//! Whether the program runs inside a Function App: there the demo profile's public secrets would be accepted from the
//! whole world, and what is on the disk is lost with the instance.

use super::Environment;

/// `WEBSITE_INSTANCE_ID` alone is not enough: only apps with an App Service worker have it. The Functions host knows apps
/// on Flex Consumption by their pod. The app's name is there in all of them
/// (<https://learn.microsoft.com/azure/app-service/reference-app-settings>).
const SIGNS: [&str; 4] = ["WEBSITE_SITE_NAME", "WEBSITE_INSTANCE_ID", "WEBSITE_POD_NAME", "CONTAINER_APP_NAME"];

/// Whether the platform's own variables are there.
pub fn in_azure(environment: Environment) -> bool {
    SIGNS.iter().any(|name| environment(name).is_some())
}
