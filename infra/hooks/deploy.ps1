#Requires -Version 5.1
<#
.SYNOPSIS
Builds the package and uploads it; azd sets the variables from the outputs of infra/azd.bicep.
.DESCRIPTION
The executable is for Linux, so on Windows the package is built in WSL. PACKAGE_ZIP names one that
is there already, such as a released one.
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
    Write-Output 'Nothing is uploaded from here: the plan or the network takes the package by PACKAGE_URI; docs/deploy.md says how.'
    exit 0
}
if (-not $Package) {
    if (-not (Get-Command wsl -ErrorAction SilentlyContinue)) { throw 'The package is built in WSL, which is not here: set PACKAGE_ZIP to a released package.' }
    $root = Split-Path (Split-Path $PSScriptRoot)
    wsl --cd $root -- make package
    if ($LASTEXITCODE -ne 0) { throw "make package ended with $LASTEXITCODE." }
    $Package = Join-Path $root 'target/package.zip'
}
if (-not (Test-Path -LiteralPath $Package)) { throw "$Package is not there." }
az functionapp deployment source config-zip --subscription $env:AZURE_SUBSCRIPTION_ID --resource-group $env:AZURE_RESOURCE_GROUP --name $env:APP_NAME --src $Package
if ($LASTEXITCODE -ne 0) { throw "The upload ended with $LASTEXITCODE." }
