#!/usr/bin/env sh
# Builds the package and uploads it; azd sets both variables from the outputs of infra/azd.bicep.
# With PACKAGE_ZIP a package that is built already is uploaded.
set -eu
cd "$(dirname "$0")/../.."

: "${AZURE_RESOURCE_GROUP:?run azd provision, or set AZURE_RESOURCE_GROUP}"
: "${APP_NAME:?run azd provision, or set APP_NAME}"
package=${PACKAGE_ZIP:-target/package.zip}
if [ -z "${PACKAGE_ZIP:-}" ]; then
    make package
fi
if [ ! -f "$package" ]; then
    echo "$package is not there; make package writes target/package.zip" >&2
    exit 1
fi
az functionapp deployment source config-zip --resource-group "$AZURE_RESOURCE_GROUP" --name "$APP_NAME" --src "$package"
