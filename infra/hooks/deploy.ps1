#Requires -Version 5.1
<#
.SYNOPSIS
Uploads the package; azd sets AZURE_RESOURCE_GROUP and APP_NAME from the outputs of infra/azd.bicep.
.DESCRIPTION
The executable is for Linux, so on Windows the package is built elsewhere: with make package in
WSL, or take one that was released. PACKAGE_ZIP says where it is; by default target/package.zip.
#>
[CmdletBinding()]
param(
    [string] $Package = $env:PACKAGE_ZIP
)

$ErrorActionPreference = 'Stop'
if (-not $Package) { $Package = Join-Path (Split-Path (Split-Path $PSScriptRoot)) 'target/package.zip' }
foreach ($name in 'AZURE_RESOURCE_GROUP', 'APP_NAME') {
    if (-not [Environment]::GetEnvironmentVariable($name)) { throw "Run azd provision, or set $name." }
}
if (-not (Test-Path -LiteralPath $Package)) { throw "$Package is not there. Build it with make package in WSL, or set PACKAGE_ZIP." }
az functionapp deployment source config-zip --resource-group $env:AZURE_RESOURCE_GROUP --name $env:APP_NAME --src $Package
if ($LASTEXITCODE -ne 0) { throw "The upload ended with $LASTEXITCODE." }
