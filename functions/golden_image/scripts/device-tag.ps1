#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Writes the device tag into the image, so that every desktop created from it has the tag.
.DESCRIPTION
The tag appears in the portal after the machine has reported. A restart makes it report sooner.
Source: https://learn.microsoft.com/en-us/defender-endpoint/machine-tags
.PARAMETER Tag
1 to 200 characters, without parentheses and commas.
.EXAMPLE
.\device-tag.ps1 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [ValidatePattern('^[^(),]{1,200}$')]
    [string] $Tag = {{tag}}
)

$ErrorActionPreference = 'Stop'
if ([Environment]::Is64BitOperatingSystem -and -not [Environment]::Is64BitProcess) {
    throw 'Run this script in 64-bit Windows PowerShell. The 32-bit version reads a different registry and different folders.'
}

$key = 'HKLM:\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection\DeviceTagging'
$present = $null
if (Test-Path -LiteralPath $key) { $present = (Get-Item -LiteralPath $key).GetValue('Group') }
if ($present -ceq $Tag -and $present -is [string]) {
    Write-Output "The tag is already $Tag."
} elseif ($PSCmdlet.ShouldProcess($key, "Set Group to $Tag")) {
    # New-Item -Force would empty an existing key.
    if (-not (Test-Path -LiteralPath $key)) { $null = New-Item -Path $key -Force }
    $null = New-ItemProperty -LiteralPath $key -Name Group -PropertyType String -Value $Tag -Force
    Write-Output "The tag is now $Tag."
}
