#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Removes the data of the sensor from a golden image that was onboarded by mistake.
.DESCRIPTION
Offboard the image first, with the offboarding script of your tenant. While the sensor runs or the
image is onboarded, this script changes nothing and ends with exit code 1. Run it as SYSTEM
(PsExec.exe -s powershell.exe): an administrator may not have the rights to delete every item.
Source: https://learn.microsoft.com/en-us/defender-endpoint/configure-endpoints-vdi
.EXAMPLE
.\clean-image.ps1 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param()

$ErrorActionPreference = 'Stop'
if ([Environment]::Is64BitOperatingSystem -and -not [Environment]::Is64BitProcess) {
    throw 'Run this script in 64-bit Windows PowerShell. The 32-bit version reads a different registry and different folders.'
}

# The list is Microsoft's. It has grown before, so check the source for new names.
$key = 'HKLM:\SOFTWARE\Microsoft\Windows Advanced Threat Protection'
$values = @(
    'senseGuid'
    'senseId'
    '2567E824-34AB-4A74-90E9-BC0F8BDFAA4A'
    '7DC0B629-D7F6-4DB3-9BF7-64D5AAF50F1A'
    'C9D38BBB-E9DD-4B27-8E6F-7DE97E68DAB9'
)
$subkeys = @('48A68F11-7A16-4180-B32C-7F974C7BD783')
$cache = "$env:ProgramData\Microsoft\Windows Defender Advanced Threat Protection\Cyber"

function Stop-Here {
    param([string] $Why)
    [Console]::Error.WriteLine("Nothing was changed: $Why")
    exit 1
}

try {
    $service = @()
    try { $service = @(Get-Service -Name Sense) }
    catch { if ($_.FullyQualifiedErrorId -notlike 'NoServiceFoundForGivenName*') { throw } }
    if ($service.Count -gt 0 -and [string] $service[0].Status -ne 'Stopped') {
        Stop-Here "the service Sense is $($service[0].Status). Offboard the image, then check with: sc.exe query sense"
    }
    $state = $null
    try { $state = (Get-Item -LiteralPath "$key\Status").GetValue('OnboardingState') }
    catch [System.Management.Automation.ItemNotFoundException] { $state = $null }
} catch {
    Stop-Here "the state of the sensor cannot be read: $($_.Exception.Message)"
}
if ($null -ne $state -and [string] $state -ne '0') {
    Stop-Here "the image is onboarded (OnboardingState $state). Run the offboarding script of your tenant, then run this script again."
}
$who = [Security.Principal.WindowsIdentity]::GetCurrent()
if (-not $who.IsSystem) { Write-Warning 'This script is not running as SYSTEM. If an item cannot be deleted, run it with: PsExec.exe -s powershell.exe' }

$left = @()
function Clear-Leftover {
    param([string] $What, [scriptblock] $Remove)
    if (-not $PSCmdlet.ShouldProcess($What, 'Delete')) { return }
    try { & $Remove; Write-Output "Deleted $What" }
    catch { $script:left += $What; Write-Warning "$What cannot be deleted: $($_.Exception.Message)" }
}

if (Test-Path -LiteralPath $cache) {
    $files = @()
    try { $files = @(Get-ChildItem -LiteralPath $cache -Force -File -Recurse) }
    catch { $left += $cache; Write-Warning "$cache cannot be listed: $($_.Exception.Message)" }
    foreach ($file in $files) {
        Clear-Leftover $file.FullName { Remove-Item -LiteralPath $file.FullName -Force }
    }
}
if (Test-Path -LiteralPath $key) {
    $there = @((Get-Item -LiteralPath $key).GetValueNames())
    foreach ($value in $values) {
        if ($there -contains $value) { Clear-Leftover "$key : $value" { Remove-ItemProperty -LiteralPath $key -Name $value -Force } }
    }
    foreach ($subkey in $subkeys) {
        if (Test-Path -LiteralPath "$key\$subkey") { Clear-Leftover "$key\$subkey" { Remove-Item -LiteralPath "$key\$subkey" -Recurse -Force } }
    }
}
if ($left.Count -gt 0) { exit 1 }
