#!/usr/bin/env sh
# Builds the package and uploads it. azd sets the variables from the outputs of infra/azd.bicep.
# Set PACKAGE_ZIP to upload an existing package instead.
set -eu
cd "$(dirname "$0")/../.."

: "${AZURE_SUBSCRIPTION_ID:?run azd provision, or set AZURE_SUBSCRIPTION_ID}"
: "${AZURE_RESOURCE_GROUP:?run azd provision, or set AZURE_RESOURCE_GROUP}"
: "${APP_NAME:?run azd provision, or set APP_NAME}"
if [ "${UPLOADS_PACKAGE:-true}" = false ]; then
    echo "this machine does not upload the package: this plan or network needs PACKAGE_URI; see docs/deploy.md" >&2
    exit 0
fi
package=${PACKAGE_ZIP:-target/package.zip}
if [ -z "${PACKAGE_ZIP:-}" ]; then
    make package
fi
if [ ! -f "$package" ]; then
    echo "$package does not exist; run make package, which writes target/package.zip" >&2
    exit 1
fi
az functionapp deployment source config-zip --subscription "$AZURE_SUBSCRIPTION_ID" \
    --resource-group "$AZURE_RESOURCE_GROUP" --name "$APP_NAME" --src "$package"
