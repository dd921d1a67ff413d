#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Writes the device tag into the image, so that every desktop made of it carries the tag.
.DESCRIPTION
The tag shows in the portal after the machine has reported; a restart makes it sooner.
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
    throw 'Run this in the 64-bit Windows PowerShell: a 32-bit one sees another registry and other folders.'
}

$key = 'HKLM:\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection\DeviceTagging'
$present = $null
if (Test-Path -LiteralPath $key) { $present = (Get-Item -LiteralPath $key).GetValue('Group') }
if ($present -ceq $Tag -and $present -is [string]) {
    Write-Output "The tag is $Tag already."
} elseif ($PSCmdlet.ShouldProcess($key, "Set Group to $Tag")) {
    # New-Item -Force would empty a key that exists.
    if (-not (Test-Path -LiteralPath $key)) { $null = New-Item -Path $key -Force }
    $null = New-ItemProperty -LiteralPath $key -Name Group -PropertyType String -Value $Tag -Force
    Write-Output "The tag is $Tag now."
}
