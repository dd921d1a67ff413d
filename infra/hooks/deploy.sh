#!/usr/bin/env sh
# Builds the package and uploads it; azd sets the variables from the outputs of infra/azd.bicep.
# With PACKAGE_ZIP a package that is built already is uploaded.
set -eu
cd "$(dirname "$0")/../.."

: "${AZURE_SUBSCRIPTION_ID:?run azd provision, or set AZURE_SUBSCRIPTION_ID}"
: "${AZURE_RESOURCE_GROUP:?run azd provision, or set AZURE_RESOURCE_GROUP}"
: "${APP_NAME:?run azd provision, or set APP_NAME}"
if [ "${UPLOADS_PACKAGE:-true}" = false ]; then
    echo "nothing is uploaded from here: the plan or the network takes the package by PACKAGE_URI; docs/deploy.md says how" >&2
    exit 0
fi
package=${PACKAGE_ZIP:-target/package.zip}
if [ -z "${PACKAGE_ZIP:-}" ]; then
    make package
fi
if [ ! -f "$package" ]; then
    echo "$package is not there; make package writes target/package.zip" >&2
    exit 1
fi
az functionapp deployment source config-zip --subscription "$AZURE_SUBSCRIPTION_ID" \
    --resource-group "$AZURE_RESOURCE_GROUP" --name "$APP_NAME" --src "$package"
