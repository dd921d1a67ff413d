#Requires -Version 5.1
<#
.SYNOPSIS
Builds the package and uploads it. azd sets the variables from the outputs of infra/azd.bicep.
.DESCRIPTION
The executable is for Linux, so on Windows the package is built in WSL. Set PACKAGE_ZIP to upload an
existing package instead, such as that of a release.
#>
[CmdletBinding()]
param(
    [string] $Package = $env:PACKAGE_ZIP
)

$ErrorActionPreference = 'Stop'
foreach ($name in 'AZURE_SUBSCRIPTION_ID', 'AZURE_RESOURCE_GROUP', 'APP_NAME') {
    if (-not [Environment]::GetEnvironmentVariable($name)) { throw "Run azd provision, or set $name." }
}
if ($env:UPLOADS_PACKAGE -eq 'false') {
    Write-Output 'This machine does not upload the package: this plan or network needs PACKAGE_URI. See docs/deploy.md.'
    exit 0
}
if (-not $Package) {
    if (-not (Get-Command wsl -ErrorAction SilentlyContinue)) { throw 'The package is built in WSL, which is not installed. Install WSL, or set PACKAGE_ZIP to a released package.' }
    $root = Split-Path (Split-Path $PSScriptRoot)
    wsl --cd $root -- make package
    if ($LASTEXITCODE -ne 0) { throw "make package failed with exit code $LASTEXITCODE." }
    $Package = Join-Path $root 'target/package.zip'
}
if (-not (Test-Path -LiteralPath $Package)) { throw "$Package does not exist." }
az functionapp deployment source config-zip --subscription $env:AZURE_SUBSCRIPTION_ID --resource-group $env:AZURE_RESOURCE_GROUP --name $env:APP_NAME --src $Package
if ($LASTEXITCODE -ne 0) { throw "The upload failed with exit code $LASTEXITCODE." }
